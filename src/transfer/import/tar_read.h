/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the tar format through libarchive, from decompressed bytes. Quiet: failures are worded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "transfer/decode/decode.h"
#include "transfer/failure.h"
#include "transfer/stats.h"

struct archive_entry;
struct tar_read;

/* Data of the current entry; valid until the next call. */
struct tar_block {
	const void *data;
	size_t size;
	uint64_t offset; /* in the file; holes give no blocks */
};

/* Borrows its arguments. The caller closes *ret, which may be set on failure too. 0 or -errno. */
int tar_read_open(struct decoder *d, struct transfer_stats *stats, struct failure *failure,
		  struct tar_read **ret);
/* 1 with the next entry, valid until the next call; 0 at the archive's end mark; or -errno. */
int tar_read_next(struct tar_read *t, struct archive_entry **ret);
/* 1 with the next block, 0 at the end of the entry's data, or -errno. */
int tar_read_block(struct tar_read *t, struct tar_block *ret);
/*
 * Call it after the last entry. Reads what follows the end mark (pixz leaves an index there) to the
 * end, so that all checksums are verified. 0, -ENODATA for an archive without an end mark or
 * without entries, or -errno.
 */
int tar_read_finish(struct tar_read *t);
void tar_read_close(struct tar_read *t);
