/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ordered, bounded queue between decoding and unpacking. Buffers are reused, because a fresh
 * one of 16 MiB costs a page fault for each of its pages. Must never print. Runs in the worker.
 */
#include "transfer/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define QUEUE_SPARE_BUFFERS 2
/* Larger buffers are rare, and two spare ones would double the memory of the queue. */
#define QUEUE_SPARE_SIZE_MAX ((size_t)32 * 1024 * 1024)

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t readable;
	pthread_cond_t writable;
	struct chunk *head;
	struct chunk *tail;
	size_t consumed; /* bytes of the head that the consumer has been given */
	size_t in_flight;
	size_t budget;
	struct chunk *spare;
	unsigned spare_count;
	bool ended;
	bool cancelled;
	int error;
};

int queue_new(size_t budget_bytes, struct queue **ret)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->budget = budget_bytes;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->readable, NULL);
	(void)pthread_cond_init(&q->writable, NULL);
	*ret = q;
	return 0;
}

static void chunk_free_all(struct chunk *c)
{
	while (c) {
		struct chunk *next = c->next;

		free(c->data);
		free(c);
		c = next;
	}
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	chunk_free_all(q->head);
	chunk_free_all(q->spare);
	(void)pthread_cond_destroy(&q->writable);
	(void)pthread_cond_destroy(&q->readable);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

/* A spare buffer that is large enough, and at most about twice as large as needed. */
static struct chunk *queue_take_spare(struct queue *q, size_t capacity)
{
	for (struct chunk **at = &q->spare; *at; at = &(*at)->next) {
		struct chunk *c = *at;

		if (c->capacity < capacity || c->capacity / 2 > capacity)
			continue;
		*at = c->next;
		q->spare_count--;
		return c;
	}
	return NULL;
}

static struct chunk *chunk_new(size_t capacity)
{
	struct chunk *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->data = malloc(capacity ? capacity : 1);
	c->capacity = capacity;
	if (!c->data) {
		free(c);
		return NULL;
	}
	return c;
}

static void queue_append(struct queue *q, struct chunk *c, size_t cost)
{
	c->next = NULL;
	c->cost = cost;
	c->produced = 0;
	c->done = false;
	q->in_flight += cost;
	if (q->tail)
		q->tail->next = c;
	else
		q->head = c;
	q->tail = c;
}

int queue_add(struct queue *q, size_t capacity, size_t extra, struct chunk **ret)
{
	size_t cost = capacity + extra;
	struct chunk *c = NULL;
	int r = 0;

	(void)pthread_mutex_lock(&q->lock);
	while (!q->cancelled && !q->error && q->head && q->in_flight + cost > q->budget)
		(void)pthread_cond_wait(&q->writable, &q->lock);
	if (q->cancelled || q->error) {
		r = -ECANCELED;
	} else {
		c = queue_take_spare(q, capacity);
		if (!c)
			c = chunk_new(capacity);
		if (c)
			queue_append(q, c, cost);
		else
			r = -ENOMEM;
	}
	(void)pthread_mutex_unlock(&q->lock);
	if (r == 0)
		*ret = c;
	return r;
}

void queue_publish(struct queue *q, struct chunk *chunk, size_t produced, bool done)
{
	(void)pthread_mutex_lock(&q->lock);
	chunk->produced = produced;
	chunk->done = done;
	if (q->head == chunk)
		(void)pthread_cond_signal(&q->readable);
	(void)pthread_mutex_unlock(&q->lock);
}

void queue_end(struct queue *q, int error)
{
	(void)pthread_mutex_lock(&q->lock);
	q->ended = true;
	if (error && !q->error)
		q->error = error;
	(void)pthread_cond_broadcast(&q->readable);
	(void)pthread_cond_broadcast(&q->writable);
	(void)pthread_mutex_unlock(&q->lock);
}

void queue_cancel(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->cancelled = true;
	(void)pthread_cond_broadcast(&q->writable);
	(void)pthread_mutex_unlock(&q->lock);
}

bool queue_is_cancelled(struct queue *q)
{
	bool stop;

	(void)pthread_mutex_lock(&q->lock);
	stop = q->cancelled || q->error;
	(void)pthread_mutex_unlock(&q->lock);
	return stop;
}

static void queue_drop_head(struct queue *q)
{
	struct chunk *c = q->head;

	q->head = c->next;
	if (!q->head)
		q->tail = NULL;
	q->in_flight -= c->cost;
	q->consumed = 0;
	if (q->spare_count < QUEUE_SPARE_BUFFERS && c->capacity <= QUEUE_SPARE_SIZE_MAX) {
		c->next = q->spare;
		q->spare = c;
		q->spare_count++;
	} else {
		c->next = NULL;
		chunk_free_all(c);
	}
	(void)pthread_cond_signal(&q->writable);
}

/* True if the consumer need not wait: there are bytes, an error, or the end. */
static bool queue_step(struct queue *q, const void **ret, ssize_t *ret_size)
{
	struct chunk *c = q->head;

	if (q->error) {
		*ret_size = q->error;
		return true;
	}
	if (!c) {
		*ret_size = 0;
		return q->ended;
	}
	if (q->consumed == c->produced)
		return false;
	*ret = c->data + q->consumed;
	*ret_size = (ssize_t)(c->produced - q->consumed);
	q->consumed = c->produced;
	return true;
}

ssize_t queue_next(struct queue *q, const void **ret)
{
	ssize_t size;

	(void)pthread_mutex_lock(&q->lock);
	for (;;) {
		while (q->head && q->head->done && q->consumed == q->head->produced)
			queue_drop_head(q);
		if (queue_step(q, ret, &size))
			break;
		(void)pthread_cond_wait(&q->readable, &q->lock);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return size;
}
