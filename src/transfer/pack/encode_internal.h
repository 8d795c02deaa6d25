/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The formats that encode.h knows: how one block is compressed, and what goes around blocks. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/pack/encode.h"

/* One block: filled, compressed, written. */
struct encode_block {
	struct encode_block *next;
	uint64_t number; /* from 0 */
	uint8_t *in;
	size_t in_size;
	uint8_t *out;
	size_t out_size, out_capacity;
	uint64_t record[2]; /* what the codec's end needs to know of it */
};

struct encode_sink;

/* All functions but `end` are called by several threads at once; they share nothing. */
struct codec {
	const char *name;
	uint32_t level_default, level_max;
	size_t (*block_size)(uint32_t level);
	/* What compressing one block takes, without the block. */
	uint64_t (*memory)(uint32_t level);
	size_t (*bound)(size_t size);
	/*
	 * Compresses in to out (allocated, out_capacity = bound). -ECANCELED soon after *cancelled.
	 * *state is the thread's own, NULL at first: memory that is worth keeping between blocks.
	 */
	int (*encode)(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
		      void **state);
	void (*forget)(void *state); /* not NULL */
	/* What comes before the first block, and after each and the last; may be NULL. */
	int (*begin)(struct encode_sink *sink);
	int (*add)(struct encode_sink *sink, const struct encode_block *block);
	int (*end)(struct encode_sink *sink);
};

/* Where the stream goes, in order. One thread at a time. */
struct encode_sink {
	int fd;
	_Atomic uint64_t *bytes;
	void *state; /* the codec's: freed by its `end`, which is called in any case */
	bool failed; /* `end` has to free only */
};
int encode_sink_write(struct encode_sink *sink, const void *data, size_t size);

extern const struct codec codec_gzip, codec_xz, codec_zstd, codec_none;
