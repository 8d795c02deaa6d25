/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters of a transfer. An import's worker keeps them in memory that it shares with its parent,
 * which shows them.
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
	_Atomic uint64_t bytes_on_disk;	 /* about what du shows: whole blocks of 4 KiB */
	_Atomic uint64_t entries;
	_Atomic uint64_t parents; /* missing parent directories that were created */
	/* What could not be kept. The user is told. */
	_Atomic uint64_t dropped_xattrs; /* see import/metadata.h */
	_Atomic uint64_t dropped_acls; /* of an unknown kind, or not supported by the file system */
	_Atomic uint64_t dropped_flags; /* chattr flags that the file system doesn't support */
	_Atomic uint64_t skipped_nodes; /* device nodes that the worker may not create */
	_Atomic uint64_t odd_headers; /* entries whose headers libarchive understood only in part */
	_Atomic uint64_t notes;	      /* all notes; the text of the first ones is in `note` */
	char note[STATS_NOTES_MAX][512];
};

#define STATS_DISK_BLOCK UINT64_C(4096)

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Adds a note about one entry for the user. Only the unpacker's thread may call it. */
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
