/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue of bytes on their way to somebody who may be slow. Memory is taken for what
 * waits, and given back as soon as nothing does: an idle one costs nothing. Quiet.
 */
#pragma once

#include <stddef.h>

#include "lib/cleanup.h"

struct backlog {
	char *data;
	size_t begin, end; /* what waits is data[begin…end) */
	size_t capacity;
};

static inline size_t backlog_size(const struct backlog *b)
{
	return b->end - b->begin;
}

static inline const char *backlog_data(const struct backlog *b)
{
	return b->data ? b->data + b->begin : NULL;
}

/*
 * Appends all of it or nothing: -ENOBUFS when more than `max` bytes would wait, -ENOMEM. Memory
 * stays below four times `max`, however many bytes pass through.
 */
int backlog_add(struct backlog *b, const void *data, size_t size, size_t max);
/* Takes `size` bytes, at most backlog_size(), from the front. */
void backlog_drop(struct backlog *b, size_t size);
/* Forgets what waits. */
void backlog_done(struct backlog *b);
