/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface between encode.c and the formats: how to compress a block, and what to write around
 * the blocks. Quiet.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/pack/encode.h"

/* A block: it is filled, compressed, then written. */
struct encode_block {
	struct encode_block *next;
	uint64_t number; /* from 0 */
	uint8_t *in;
	size_t in_size;
	uint8_t *out;
	size_t out_size, out_capacity;
	uint64_t record[2]; /* from the codec's encode() to its add() */
};

struct encode_sink;

/*
 * encode() and forget() run in several threads at once, each thread with a state of its own. The
 * others are called by one thread at a time.
 */
struct codec {
	const char *name;
	uint32_t level_default, level_max;
	size_t (*block_size)(uint32_t level);
	/* Memory in bytes that compressing a block takes, without the block itself. */
	uint64_t (*memory)(uint32_t level);
	size_t (*bound)(size_t size);
	/*
	 * Compresses `in` to `out`, which has room for bound() bytes. Returns -ECANCELED soon after
	 * *cancelled is set. *state belongs to the thread and is NULL at first; it holds memory
	 * that is worth keeping between blocks.
	 */
	int (*encode)(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
		      void **state);
	void (*forget)(void *state); /* frees a state that is not NULL */
	/*
	 * Write what precedes the first block, a block, and what follows the last block. `begin`
	 * and `end` may be NULL.
	 */
	int (*begin)(struct encode_sink *sink);
	int (*add)(struct encode_sink *sink, const struct encode_block *block);
	int (*end)(struct encode_sink *sink);
};

/* The output stream. Blocks are written in order, by one thread at a time. */
struct encode_sink {
	int fd;
	_Atomic uint64_t *bytes;
	void *state; /* of the codec; freed by its end(), which is called in any case */
	bool failed; /* end() must only free `state` */
};
int encode_sink_write(struct encode_sink *sink, const void *data, size_t size);

extern const struct codec codec_gzip, codec_xz, codec_zstd, codec_none;
