// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which memory a child doesn't inherit: from sample texts of /proc, and in this process. */
#include "check.h"

#include <sys/wait.h>

#include "lib/memory.h"

static const struct memory_range no_thread = {0, 0};

static void parse(const char *lines, struct memory_range thread, uintptr_t program_end,
		  struct memory_map *ret)
{
	autofree char *text = strdup(lines);

	assert_non_null(text);
	assert_int_equal(memory_parse_map(text, thread, program_end, ret), 0);
}

static void assert_range(const struct memory_map *map, size_t i, uintptr_t start, uintptr_t end)
{
	assert_true(i < map->count);
	assert_int_equal(map->ranges[i].start, start);
	assert_int_equal(map->ranges[i].end, end);
}

/* Code needs its static data, including bss. */
static void test_only_private_memory(void **state)
{
	struct memory_map map;

	parse("1000-2000 r-xp 00000000 08:01 7    /usr/bin/redd\n"
	      "3000-4000 rw-p 00002000 08:01 7    /usr/bin/redd\n"
	      "4000-6000 rw-p 00000000 00:00 0 \n"
	      "8000-9000 rw-p 00000000 00:00 0    [heap]\n"
	      "a000-b000 rw-s 00000000 00:01 9    /dev/zero (deleted)\n"
	      "b000-c000 ---p 00000000 00:00 0 \n"
	      "c000-d000 rw-p 00000000 00:00 0 \n"
	      "d000-e000 rw-p 00000000 00:00 0    [anon:a name]\n"
	      "e000-f000 r--p 00000000 00:00 0    [vvar]\n"
	      "f000-11000 rw-p 00000000 00:00 0   [stack]\n",
	      no_thread, 0x6000, &map);
	assert_int_equal(map.count, 4);
	assert_range(&map, 0, 0x8000, 0x9000);
	assert_range(&map, 1, 0xc000, 0xd000);
	assert_range(&map, 2, 0xd000, 0xe000);
	assert_range(&map, 3, 0xf000, 0x11000);
}

static void test_thread_area_is_left(void **state)
{
	struct memory_map map;

	parse("8000-f000 rw-p 00000000 00:00 0    [heap]\n", (struct memory_range){0x9000, 0xb000},
	      0, &map);
	assert_int_equal(map.count, 2);
	assert_range(&map, 0, 0x8000, 0x9000);
	assert_range(&map, 1, 0xb000, 0xf000);
	parse("8000-f000 rw-p 00000000 00:00 0    [heap]\n", (struct memory_range){0x7000, 0x9000},
	      0, &map);
	assert_int_equal(map.count, 1);
	assert_range(&map, 0, 0x9000, 0xf000);
}

/* As with randomize_va_space=1: the kernel labels both as heap. */
static void test_data_that_is_shown_as_heap(void **state)
{
	struct memory_map map;

	parse("3000-4000 rw-p 00002000 08:01 7    /usr/bin/redd\n"
	      "4000-9000 rw-p 00000000 00:00 0    [heap]\n",
	      no_thread, 0x6000, &map);
	assert_int_equal(map.count, 1);
	assert_range(&map, 0, 0x6000, 0x9000);
}

static void test_too_many(void **state)
{
	char text[(MEMORY_RANGES_MAX + 1) * 64] = "", *p = text;
	struct memory_map map;

	for (unsigned i = 0; i <= MEMORY_RANGES_MAX; i++)
		p += sprintf(p, "%x-%x rw-p 00000000 00:00 0 \n", (2 * i + 1) << 12,
			     (2 * i + 2) << 12);
	assert_int_equal(memory_parse_map(text, no_thread, 0, &map), -E2BIG);
	(void)snprintf(text, sizeof(text), "no map\n");
	assert_int_equal(memory_parse_map(text, no_thread, 0, &map), -EBADMSG);
}

/* A child reads its own memory: omitted memory kills it, the rest is there. */
static int end_of_reader(const volatile char *secret, const struct memory_map *map,
			 const struct memory_range *keep)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		pid_t child;

		if (memory_advise(map, keep, MADV_DONTFORK) < 0)
			_exit(2);
		child = fork();
		if (child == 0)
			_exit(*secret == 's' ? 7 : 3);
		(void)waitpid(child, &status, 0);
		_exit(WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_child_is_born_without(void **state)
{
	static _Alignas(4096) char data[4096] = "s";
	size_t size = 4096;
	char *secret =
		mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memory_range keep = {(uintptr_t)secret + size, (uintptr_t)secret + 2 * size};
	struct memory_map map;

	if (MEMORY_SANITIZED)
		skip();
	assert_true(secret != MAP_FAILED);
	secret[0] = secret[size] = 's';
	assert_int_equal(memory_read_map(&map), 0);
	/* This function needs the stack, so it can't be omitted here. */
	for (size_t i = 0; i < map.count; i++) {
		if (map.ranges[i].start <= (uintptr_t)&map && (uintptr_t)&map < map.ranges[i].end)
			map.ranges[i].end = map.ranges[i].start;
	}
	assert_int_equal(end_of_reader(secret, &map, &keep), 100 + SIGSEGV);
	assert_int_equal(end_of_reader(secret + size, &map, &keep), 7);
	assert_int_equal(end_of_reader(data, &map, &keep), 7);
	assert_int_equal(munmap(secret, 2 * size), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_private_memory),
		cmocka_unit_test(test_thread_area_is_left),
		cmocka_unit_test(test_data_that_is_shown_as_heap),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_child_is_born_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
