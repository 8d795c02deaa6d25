/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The growing buffer. Must never lose an out-of-memory: after one, nothing more is added and
 * buf_take() tells. Parent side of clone() only: it allocates.
 */
#include <errno.h>
#include <stdio.h>

#include "lib/str.h"

#define BUF_FIRST_CAPACITY 64

/* Makes room for `more` bytes and the NUL; false when there is no memory. */
static bool buf_reserve(struct buf *b, size_t more)
{
	size_t needed, capacity = b->capacity ? b->capacity : BUF_FIRST_CAPACITY;
	char *data;

	if (b->error)
		return false;
	if (__builtin_add_overflow(b->size, more, &needed) || needed > SIZE_MAX / 2 - 1)
		goto no_memory;
	needed++;
	if (needed <= b->capacity)
		return true;
	while (capacity < needed)
		capacity *= 2;
	data = realloc(b->data, capacity);
	if (!data)
		goto no_memory;
	b->data = data;
	b->capacity = capacity;
	return true;
no_memory:
	b->error = -ENOMEM;
	return false;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
	if (!buf_reserve(b, size))
		return;
	if (size > 0)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = '\0';
}

void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	if (n < 0) {
		b->error = -ENOMEM;
	} else if (buf_reserve(b, (size_t)n)) {
		(void)vsnprintf(b->data + b->size, (size_t)n + 1, fmt, again);
		b->size += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

int buf_take(struct buf *b, char **ret)
{
	int error;

	(void)buf_reserve(b, 0);
	error = b->error;
	if (!error) {
		b->data[b->size] = '\0';
		*ret = take_ptr(b->data);
	}
	buf_done(b);
	return error;
}

void buf_done(struct buf *b)
{
	int saved = errno;

	free(b->data);
	*b = (struct buf){};
	errno = saved;
}
