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

/* Data of the entry at hand; valid until the next call. */
struct tar_block {
	const void *data;
	size_t size;
	uint64_t offset; /* in the file: holes are left out */
};

int tar_read_open(struct decoder *d, struct transfer_stats *stats, struct failure *failure,
		  struct tar_read **ret);
/* 1 with an entry, valid until the next call; 0 at the archive's end mark; or -errno. */
int tar_read_next(struct tar_read *t, struct archive_entry **ret);
/* 1 with a block, 0 at the end of the entry's data, or -errno. */
int tar_read_block(struct tar_read *t, struct tar_block *ret);
/*
 * After the last entry: -ENODATA for an archive without end mark or without entries; reads what
 * follows the end mark (pixz leaves an index there) to the end, so that all checksums are verified.
 */
int tar_read_finish(struct tar_read *t);
void tar_read_close(struct tar_read *t);
