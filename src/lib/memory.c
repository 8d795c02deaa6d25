// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which memory is this process's own. Must never count what the code of a child runs on. */
#include "lib/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/str.h"

/* By the linker: behind the program's static data. */
extern char _end[];

#define MAPS_MAX_BYTES (1024 * 1024)

struct line {
	struct memory_range range;
	const char *permissions; /* "rw-p" */
	const char *name;	 /* "" of anonymous memory */
};

/* "7ffc0000-7ffd0000 rw-p 00000000 00:00 0    [stack]" */
static int parse_line(char *text, struct line *ret)
{
	char *rest, *saved = NULL, *words[5];

	ret->range.start = strtoul(text, &rest, 16);
	if (*rest != '-')
		return -EBADMSG;
	ret->range.end = strtoul(rest + 1, &rest, 16);
	for (size_t i = 0; i < 4; i++) {
		words[i] = strtok_r(i == 0 ? rest : NULL, " ", &saved);
		if (!words[i])
			return -EBADMSG;
	}
	words[4] = strtok_r(NULL, "", &saved);
	ret->permissions = words[0];
	ret->name = words[4] ? words[4] + strspn(words[4], " ") : "";
	return 0;
}

static bool is_private(const struct line *line)
{
	return strncmp(line->permissions, "rw", 2) == 0 && line->permissions[3] == 'p';
}

static bool is_private_memory(const struct line *line)
{
	return is_private(line) &&
	       (*line->name == '\0' || streq(line->name, "[heap]") ||
		streq(line->name, "[stack]") || str_after_prefix(line->name, "[anon:"));
}

static int add(struct memory_map *map, uintptr_t start, uintptr_t end)
{
	if (start >= end)
		return 0;
	if (map->count == MEMORY_RANGES_MAX)
		return -E2BIG;
	map->ranges[map->count++] = (struct memory_range){start, end};
	return 0;
}

int memory_parse_map(char *text, struct memory_range thread, uintptr_t program_end,
		     struct memory_map *ret)
{
	uintptr_t data_end = 0; /* of the static data in front of this line */
	char *saved = NULL;
	int r = 0;

	ret->count = 0;
	for (char *p = strtok_r(text, "\n", &saved); p && r >= 0;
	     p = strtok_r(NULL, "\n", &saved)) {
		struct line line;
		struct memory_range *range = &line.range;

		r = parse_line(p, &line);
		if (r < 0)
			return r;
		/* What a program's data has no room for in its file follows it, without a name. */
		if (is_private(&line) &&
		    (*line.name == '/' || (*line.name == '\0' && range->start == data_end))) {
			data_end = range->end;
			continue;
		}
		if (!is_private_memory(&line))
			continue;
		/* Without a gap between them the kernel shows data and heap as one. */
		if (range->start < program_end && program_end < range->end)
			range->start = program_end;
		r = add(ret, range->start, MAX(range->start, MIN(range->end, thread.start)));
		if (r >= 0)
			r = add(ret, MIN(range->end, MAX(range->start, thread.end)), range->end);
	}
	return r;
}

static uintptr_t page_of(const void *p, size_t more)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return ((uintptr_t)p + more) / page * page;
}

/* What a thread has of its own lies around its errno, within a page or two. */
static struct memory_range thread_area(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t here = page_of(&errno, 0);

	return (struct memory_range){here - page, here + 2 * page};
}

void memory_pad_thread_area(void)
{
	/* In a static program the heap begins right behind the thread's own data. */
	static void *pad;

	if (!pad)
		pad = malloc(3 * (size_t)sysconf(_SC_PAGESIZE));
}

int memory_read_map(struct memory_map *ret)
{
	autofree char *text = NULL;
	uintptr_t program_end = page_of(_end, (size_t)sysconf(_SC_PAGESIZE) - 1);
	int r = io_read_file_at(AT_FDCWD, "/proc/self/maps", MAPS_MAX_BYTES, &text, NULL);

	return r < 0 ? r : memory_parse_map(text, thread_area(), program_end, ret);
}
