/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/PID/stat, whose second field is whatever the process calls itself. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/io.h"
#include "machine/process.h"

#define TAIL " S 7 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 1 1\n"

static int parse(const struct scratch *scratch, const char *text, struct process_stat *ret)
{
	assert_int_equal(io_replace_file_at(scratch->fd, "stat", text, 0600, false), 0);
	return process_read_stat(scratch->fd, "stat", ret);
}

static void test_names_do_not_shift_the_fields(void **state)
{
	static const char *const names[] = {"sh", "a) Z 99 (b", ")", "", "a b c"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct process_stat process;
		char text[256];

		(void)snprintf(text, sizeof(text), "12 (%s)" TAIL, names[i]);
		assert_int_equal(parse(*state, text, &process), 0);
		assert_string_equal(process.name, names[i]);
		assert_int_equal(process.state, 'S');
		assert_int_equal(process.parent, 7);
		assert_int_equal(process.flags, 4194560);
		assert_int_equal(process.starttime, 4242);
	}
}

static void test_what_is_cut_off_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"12",
		"12 (sh",
		"12 sh) S 7",
		"12 (sh)",
		"12 (sh) ",
		"12 (sh) S 7 1 1 0 -1",
		"12 (sh) S 7 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct process_stat process;

		assert_int_equal(parse(*state, texts[i], &process), -EBADMSG);
	}
}

static void test_of_the_kernel(void **state)
{
	struct process_stat process;
	char path[32];
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	assert_int_equal(waitid(P_PID, (id_t)child, &(siginfo_t){}, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_read_stat(AT_FDCWD, path, &process), 0);
	assert_int_equal(process.state, 'Z');
	assert_int_equal(process.parent, getpid());
	assert_true(process.starttime > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(process_read_stat(AT_FDCWD, path, &process), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_names_do_not_shift_the_fields),
		scratch_test(test_what_is_cut_off_is_refused),
		scratch_test(test_of_the_kernel),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
