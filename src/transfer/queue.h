/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue of decompressed pieces between the decoding threads and the unpacker. Pieces
 * leave in the order they were added, whoever fills them and whenever; a piece can be read while it
 * is still being filled, so that the unpacker never waits for a whole block. The bound is in bytes.
 * One consumer; quiet.
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
	size_t cost;	 /* counted against the queue's budget until it was read */
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
 * Adds a piece at the end; waits while the budget is used up (one piece is always let in). `extra`
 * bytes that belong to the piece elsewhere are counted too. 0, -ECANCELED when the consumer has
 * given up or another producer failed, -ENOMEM.
 */
int queue_add(struct queue *q, size_t capacity, size_t extra, struct chunk **ret);
/* `produced` bytes of the piece can be read; with `done` no more will come: it isn't the caller's.
 */
void queue_publish(struct queue *q, struct chunk *chunk, size_t produced, bool done);
/* No more pieces. An error is seen by the consumer at once, even before pieces in the queue. */
void queue_end(struct queue *q, int error);
/* The consumer gives up: every producer gets -ECANCELED. */
void queue_cancel(struct queue *q);
bool queue_is_cancelled(struct queue *q);

/* The next bytes in order, valid until the next call. Bytes, 0 at the end, or the error. */
ssize_t queue_next(struct queue *q, const void **ret);
