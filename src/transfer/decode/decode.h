/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decompresses an archive in threads. The format is recognised by its content, not by the file's
 * name. The compressed stream is read and checked to its very end, beyond the end of the archive in
 * it. Quiet.
 *
 * Limits: zstd windows up to 128 MiB (as the zstd program without --long=31), xz dictionaries up to
 * 256 MiB, and the size of the queue, see decode_xz.c.
 */
#pragma once

#include <sys/types.h>

#include "transfer/decode/source.h"
#include "transfer/failure.h"

struct decoder;

/* Looks at the first bytes and starts the threads. Source and failure must outlive it. */
int decoder_start(struct source *source, struct failure *failure, struct decoder **ret);
/* Next decompressed bytes, valid until the next call. 0 at the end; failures are worded. */
ssize_t decoder_next(struct decoder *d, const void **ret);
/* "xz", …, or "" for an input that is not compressed. */
const char *decoder_format_name(const struct decoder *d);
/* An upper bound of the memory it needs, in bytes, with stacks of 1 MiB. */
uint64_t decoder_memory_max(const struct decoder *d);
/* Stops the threads, whatever they are doing. */
void decoder_free(struct decoder *d);
static inline void decoder_freep(struct decoder **d)
{
	decoder_free(*d);
}
