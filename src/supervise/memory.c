/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an idle supervisor weighs. The kernel maps 64 KiB of code around each page that is touched;
 * starting touches nearly all of the program, waiting nearly nothing. After a second of silence the
 * pages of code and constants are given back: they come from the file again when they are needed.
 * Supervisor's side.
 */
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include "lib/time.h"
#include "supervise/internal.h"

#define QUIET_US USEC_PER_SEC

/* Enough for a dynamically linked build: two such segments for each of a dozen libraries. */
#define RANGES_MAX 64

struct ranges {
	size_t count;
	struct {
		uintptr_t start, end;
	} items[RANGES_MAX];
};

/* Segments that are never written to: what is dropped of them comes back from the file. */
static int collect_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct ranges *ranges = userdata;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
		uintptr_t end =
			(info->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);

		if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) || end <= start)
			continue;
		if (ranges->count == RANGES_MAX)
			return 1;
		ranges->items[ranges->count].start = start;
		ranges->items[ranges->count++].end = end;
	}
	return 0;
}

/* Collected first, dropped last: what runs in between would be touched again. */
static int on_quiet(struct event_loop *loop, void *userdata)
{
	struct ranges ranges = {};

#ifdef __GLIBC__ /* musl has no such call */
	(void)malloc_trim(0);
#endif
	(void)dl_iterate_phdr(collect_object, &ranges);
	for (size_t i = 0; i < ranges.count; i++)
		(void)madvise((void *)ranges.items[i].start,
			      ranges.items[i].end - ranges.items[i].start, MADV_DONTNEED);
	return 0;
}

void memory_watch(struct supervisor *s)
{
	if (!s->spec->managed)
		return;
	s->quiet_timer.fn = on_quiet;
	s->quiet_timer.userdata = s;
	event_set_quiet(s->loop, &s->quiet_timer, QUIET_US);
}
