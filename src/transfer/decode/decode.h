/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decompresses an archive in threads. The format is recognised by its content, not by the name of
 * the file. The compressed stream is read and checked to its very end, even after the end of the
 * archive inside. Quiet: failures are worded.
 *
 * Limits: zstd windows up to 128 MiB (like the zstd program without --long=31), xz decoders up to
 * XZ_DECODER_MEMORY_MAX, and the size of the queue, see decode_xz.c.
 */
#pragma once

#include <sys/types.h>

#include "transfer/decode/source.h"
#include "transfer/failure.h"

struct decoder;

/*
 * Looks at the first bytes and starts the threads. `source` and `failure` must outlive the decoder,
 * which the caller frees. 0 or -errno.
 */
int decoder_start(struct source *source, struct failure *failure, struct decoder **ret);
/*
 * Returns the number of the next decompressed bytes, 0 at the end, or -errno. The bytes are valid
 * until the next call.
 */
ssize_t decoder_next(struct decoder *d, const void **ret);
/* "xz", …, or "" for an input that is not compressed. */
const char *decoder_format_name(const struct decoder *d);
/* Upper bound of the decoder's memory in bytes, with thread stacks of 1 MiB. */
uint64_t decoder_memory_max(const struct decoder *d);
/* Stops the threads, whatever they are doing, and frees the decoder. */
void decoder_free(struct decoder *d);
static inline void decoder_freep(struct decoder **d)
{
	decoder_free(*d);
}
