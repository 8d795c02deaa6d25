/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bounded queue. Must never grow by what has left it already: a reader who lags by a few bytes
 * for ever would cost all that ever passed. Parent side of clone() only: it allocates.
 */
#include "lib/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"

#define FIRST_CAPACITY 256

static int make_room(struct backlog *b, size_t size)
{
	size_t waiting = backlog_size(b);
	size_t capacity = MAX(b->capacity, (size_t)FIRST_CAPACITY);
	char *data;

	if (b->end + size <= b->capacity)
		return 0;
	/* Moved only where that frees at least half: a move for each byte would be dear. */
	while (capacity / 2 < waiting + size)
		capacity *= 2;
	if (waiting > 0 && b->begin > 0)
		memmove(b->data, b->data + b->begin, waiting);
	b->begin = 0;
	b->end = waiting;
	if (capacity == b->capacity)
		return 0;
	data = realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int backlog_add(struct backlog *b, const void *data, size_t size, size_t max)
{
	int r;

	if (size > max || backlog_size(b) > max - size)
		return -ENOBUFS;
	if (size == 0)
		return 0;
	r = make_room(b, size);
	if (r < 0)
		return r;
	memcpy(b->data + b->end, data, size);
	b->end += size;
	return 0;
}

void backlog_drop(struct backlog *b, size_t size)
{
	b->begin += MIN(size, backlog_size(b));
	if (b->begin == b->end)
		backlog_done(b);
}

void backlog_done(struct backlog *b)
{
	int saved = errno;

	free(b->data);
	*b = (struct backlog){};
	errno = saved;
}
