/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface between decode.c and the formats. A decoder reads the source to its end and puts
 * the decompressed bytes into the queue, in order. It runs in a thread of the worker. It words its
 * failure (failure.h) and returns it; -ECANCELED needs no text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transfer/decode/source.h"
#include "transfer/failure.h"
#include "transfer/queue.h"

struct decode_stream {
	struct source *source;
	struct queue *queue;
	struct failure *failure;
	struct chunk *chunk; /* the one being filled, see decode_room() */
	size_t used;
	size_t cpus;
	size_t budget; /* of the queue, in bytes */
};

int decode_plain(struct decode_stream *s);
int decode_gzip(struct decode_stream *s);
int decode_bzip2(struct decode_stream *s);
int decode_zstd(struct decode_stream *s);
int decode_xz(struct decode_stream *s);

/* Input that is left to read, and space that is left for output. */
struct decode_step {
	const uint8_t *in;
	size_t in_size;
	uint8_t *out;
	size_t out_size;
};

/* A format whose files consist of members, one after another. */
struct member_format {
	const char *name;
	uint8_t magic[3]; /* each member starts with it */
	size_t magic_size;
	int (*begin)(void *state); /* 0 or -ENOMEM */
	/*
	 * Decodes some input and advances `step`. 1 at the end of the member, 0, or -errno, worded.
	 */
	int (*step)(struct decode_stream *s, void *state, struct decode_step *step);
	void (*end)(void *state);
};
int decode_members(struct decode_stream *s, const struct member_format *format, void *state);

/* Finds space for output. Returns its size (never 0), or -errno. */
ssize_t decode_room(struct decode_stream *s, uint8_t **ret);
/* Adds `size` bytes of that space to the output. */
void decode_commit(struct decode_stream *s, size_t size);
/* Publishes what was filled so far. Call it before you add a chunk to the queue yourself. */
void decode_flush(struct decode_stream *s);

/* source_fill() that words its failure: bytes, 0 at the end, or -errno. */
ssize_t decode_input(struct decode_stream *s, const uint8_t **ret);
int decode_truncated(struct decode_stream *s, const char *format);
int decode_corrupt(struct decode_stream *s, const char *format, const char *detail);
int decode_oom(struct decode_stream *s);
