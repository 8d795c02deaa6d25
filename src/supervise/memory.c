/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps an idle supervisor small. The kernel maps 64 KiB of code around each page that is touched;
 * starting a machine touches nearly the whole program, waiting almost nothing. So after a second of
 * silence the pages of code and constants are dropped; the kernel reads them from the file again
 * when they are needed. Must never drop a page that was written to. Supervisor's side.
 */
#include "supervise/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/time.h"

#define QUIET_US USEC_PER_SEC

/* Enough for a dynamically linked build: two such segments for each of a dozen libraries. */
#define RANGES_MAX 64

struct ranges {
	size_t count;
	struct {
		uintptr_t start, end;
	} items[RANGES_MAX];
};

/* Segments that are never written to: their pages come back from the file. */
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

/* Collect first and drop last: code that runs in between would be mapped again. */
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

void memory_watch(struct event_loop *loop, struct event_timer *timer)
{
	timer->fn = on_quiet;
	event_set_quiet(loop, timer, QUIET_US);
}
