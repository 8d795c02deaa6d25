/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue of decompressed chunks between the decoding threads and the unpacker. Chunks
 * leave in the order in which they were added, no matter which thread fills them and when. A chunk
 * can be read while it is still being filled, so the unpacker never waits for a whole block. The
 * bound is in bytes. There is one consumer. Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct chunk {
	struct chunk *next;
	uint8_t *data;
	size_t capacity;
	size_t cost;	 /* counted against the queue's budget until the chunk has been read */
	size_t produced; /* bytes ready, see queue_publish() */
	bool done;
};

struct queue;

int queue_new(size_t budget_bytes, struct queue **ret);
void queue_free(struct queue *q); /* after all threads have ended */
static inline void queue_freep(struct queue **q)
{
	queue_free(*q);
}

/*
 * Adds a chunk at the end, to be filled by the caller and owned by the queue. Waits until the
 * budget has room for it; an empty queue takes a chunk of any size. `extra` bytes that the chunk
 * needs elsewhere are counted too. 0, -ECANCELED if the consumer has given up or another producer
 * failed, or -ENOMEM.
 */
int queue_add(struct queue *q, size_t capacity, size_t extra, struct chunk **ret);
/*
 * Makes the first `produced` bytes of the chunk readable. With `done` it is complete, and the
 * caller must not touch it any more.
 */
void queue_publish(struct queue *q, struct chunk *chunk, size_t produced, bool done);
/*
 * Ends the queue: no more chunks follow. The consumer sees an error at once, even if chunks are
 * left.
 */
void queue_end(struct queue *q, int error);
/* The consumer gives up: every producer gets -ECANCELED. */
void queue_cancel(struct queue *q);
/* True after queue_cancel(), and after queue_end() with an error. */
bool queue_is_cancelled(struct queue *q);

/*
 * Waits for the next bytes in order, which are valid until the next call. Returns their number, 0
 * at the end, or the error.
 */
ssize_t queue_next(struct queue *q, const void **ret);
