/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This process's private memory: heap, stack, and what else is writable and of no file. For keeping
 * it from a child that somebody else may look into. The static data of program and libraries and
 * the thread's own area, without which no code runs, are never part of it.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lib/macro.h"

/* Sanitizers keep what they know of memory in such memory. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_SANITIZED 1
#endif
#endif
#ifndef MEMORY_SANITIZED
#define MEMORY_SANITIZED 0
#endif

#define MEMORY_RANGES_MAX 64

struct memory_range {
	uintptr_t start, end; /* whole pages */
};

struct memory_map {
	struct memory_range ranges[MEMORY_RANGES_MAX];
	size_t count;
};

/*
 * Call it first in a program: keeps what is allocated later off the pages around the thread's own
 * data, which memory_read_map() leaves out.
 */
void memory_pad_thread_area(void);
/* Reads /proc/self/maps. 0, -E2BIG when there are more ranges, or -errno. Quiet. */
int memory_read_map(struct memory_map *ret);
/* The same from its text, which is cut up, for a thread and a program that lie where they say. */
int memory_parse_map(char *text, struct memory_range thread, uintptr_t program_end,
		     struct memory_map *ret);

static inline int memory_advise_range(uintptr_t start, uintptr_t end, int advice)
{
	return start < end && madvise((void *)start, end - start, advice) < 0 ? -errno : 0;
}

/*
 * madvise(2) for all of the map but `keep` (whole pages; may be NULL). Of what was unmapped since
 * nothing is left to advise. Fit for a child between clone() and exec. Does nothing in a program
 * that is built with a sanitizer.
 */
static inline int memory_advise(const struct memory_map *map, const struct memory_range *keep,
				int advice)
{
	for (size_t i = 0; i < map->count && !MEMORY_SANITIZED; i++) {
		uintptr_t start = map->ranges[i].start, end = map->ranges[i].end;
		uintptr_t from = keep ? MAX(start, MIN(end, keep->start)) : end;
		uintptr_t to = keep ? MIN(end, MAX(start, keep->end)) : end;
		int r = memory_advise_range(start, from, advice);

		if (r >= 0)
			r = memory_advise_range(to, end, advice);
		if (r < 0 && r != -ENOMEM)
			return r;
	}
	return 0;
}
