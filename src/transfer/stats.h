/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker has done so far. It lies in memory shared with the parent, which shows it.
 */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/macro.h"

#define STATS_NOTES_MAX 8

struct transfer_stats {
	_Atomic uint64_t bytes_read;	 /* of the compressed input */
	_Atomic uint64_t bytes_decoded;	 /* of the archive, decompressed */
	_Atomic uint64_t bytes_unpacked; /* written to files */
	_Atomic uint64_t bytes_on_disk;	 /* what du would say, nearly: in blocks of 4 KiB */
	_Atomic uint64_t entries;
	_Atomic uint64_t parents; /* made for entries below them, without one of their own */
	/* What the tree lacks, and the person is told. */
	_Atomic uint64_t dropped_xattrs; /* trusted.*, security.* but capabilities, overlay's, … */
	_Atomic uint64_t dropped_acls;	 /* of names without numbers, or the file system has none */
	_Atomic uint64_t dropped_flags;	 /* chattr flags that the file system lacks */
	_Atomic uint64_t skipped_nodes;	 /* device nodes that we may not make */
	_Atomic uint64_t odd_headers;	 /* parts of headers that libarchive ignored */
	_Atomic uint64_t notes;		 /* all of them; the first have their words here */
	char note[STATS_NOTES_MAX][512];
};

#define STATS_DISK_BLOCK UINT64_C(4096)

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Words what the person should hear of one entry. By the unpacker's thread only. */
static inline void PRINTF_LIKE(2, 3) stats_note(struct transfer_stats *stats, const char *fmt, ...)
{
	uint64_t n = atomic_load(&stats->notes);
	va_list args;

	if (n < STATS_NOTES_MAX) {
		va_start(args, fmt);
		(void)vsnprintf(stats->note[n], sizeof(stats->note[n]), fmt, args);
		va_end(args);
	}
	stats_add(&stats->notes, 1);
}
