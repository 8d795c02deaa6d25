/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the compressed input. Must never seek, so that pipes and files are treated alike. Only the
 * index of an xz file is read out of order, by decode_xz.c with pread(2). Runs in the worker.
 */
#include "transfer/decode/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"

#define SOURCE_BUFFER_SIZE ((size_t)256 * 1024)

int source_open(struct source *s, int fd, _Atomic uint64_t *counter)
{
	struct stat st;
	off_t start;

	*s = (struct source){.fd = fd, .counter = counter};
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	start = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	if (start >= 0) {
		s->seekable = true;
		s->start = (uint64_t)start;
		s->end = (uint64_t)MAX(start, st.st_size);
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	s->buffer = malloc(SOURCE_BUFFER_SIZE);
	return s->buffer ? 0 : -ENOMEM;
}

void source_done(struct source *s)
{
	free(s->buffer);
	*s = (struct source){.fd = -1};
}

static ssize_t source_read_fd(struct source *s, void *data, size_t size)
{
	ssize_t n;

	do
		n = read(s->fd, data, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (s->counter)
		atomic_fetch_add_explicit(s->counter, (uint64_t)n, memory_order_relaxed);
	return n;
}

ssize_t source_fill(struct source *s, const uint8_t **ret)
{
	if (s->used == s->filled) {
		ssize_t n = source_read_fd(s, s->buffer, SOURCE_BUFFER_SIZE);

		if (n < 0)
			return n;
		s->used = 0;
		s->filled = (size_t)n;
	}
	*ret = s->buffer + s->used;
	return (ssize_t)(s->filled - s->used);
}

void source_consume(struct source *s, size_t size)
{
	s->used += size;
}

ssize_t source_peek(struct source *s, size_t size, const uint8_t **ret)
{
	memmove(s->buffer, s->buffer + s->used, s->filled - s->used);
	s->filled -= s->used;
	s->used = 0;
	while (s->filled < size) {
		ssize_t n =
			source_read_fd(s, s->buffer + s->filled, SOURCE_BUFFER_SIZE - s->filled);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		s->filled += (size_t)n;
	}
	*ret = s->buffer;
	return (ssize_t)s->filled;
}

ssize_t source_read(struct source *s, void *data, size_t size)
{
	size_t buffered = MIN(s->filled - s->used, size);

	if (buffered == 0)
		return source_read_fd(s, data, size);
	memcpy(data, s->buffer + s->used, buffered);
	s->used += buffered;
	return (ssize_t)buffered;
}

int source_read_exactly(struct source *s, void *data, size_t size)
{
	uint8_t *at = data;

	while (size > 0) {
		const uint8_t *piece;
		ssize_t n;

		if (s->used == s->filled && size < SOURCE_BUFFER_SIZE) {
			n = source_fill(s, &piece);
			if (n > 0)
				continue;
		} else {
			n = source_read(s, at, size);
		}
		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}
