/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decompression by content, on threads of its own: what the file is called does not matter. The
 * compressed stream is checked to its very end, past the end mark of the archive in it. Quiet.
 *
 * Limits: zstd windows up to 128 MiB (as the zstd program without --long=31), xz dictionaries up to
 * 256 MiB, and the pieces in flight, see xz.c.
 */
#pragma once

#include <sys/types.h>

#include "transfer/failure.h"
#include "transfer/import/source.h"

struct decode;

/* Looks at the first bytes and starts the threads. Source and failure must outlive it. */
int decode_start(struct source *source, struct failure *failure, struct decode **ret);
/* Next decompressed bytes, valid until the next call. 0 at the end; the failure is worded. */
ssize_t decode_next(struct decode *d, const void **ret);
/* "xz", …, or "" for an input that is not compressed. */
const char *decode_format_name(const struct decode *d);
/* The most memory that it takes, in bytes, with threads of 1 MiB of stack. */
uint64_t decode_memory_max(const struct decode *d);
/* Stops the threads wherever they are. */
void decode_free(struct decode *d);
static inline void decode_freep(struct decode **d)
{
	decode_free(*d);
}
