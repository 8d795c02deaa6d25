/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compressed input: a file or a pipe, read strictly forwards by one thread in large pieces. The
 * bytes read are counted in memory that the parent sees. Quiet.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct source {
	int fd;		/* not owned */
	bool seekable;	/* a regular file: `start` to `end` may be read with pread() */
	uint64_t start; /* offset of the first byte in the file */
	uint64_t end;	/* offset after the last byte, when the source was opened */
	uint8_t *buffer;
	size_t used;		   /* bytes of the buffer that were consumed */
	size_t filled;		   /* bytes in the buffer */
	_Atomic uint64_t *counter; /* bytes read so far; may be NULL */
};

/* Borrows `fd` and `counter`. 0, -EISDIR for a directory, or -errno. */
int source_open(struct source *s, int fd, _Atomic uint64_t *counter);
void source_done(struct source *s);

/* Points *ret at the buffered bytes; reads if there are none. Bytes, 0 at the end, or -errno. */
ssize_t source_fill(struct source *s, const uint8_t **ret);
void source_consume(struct source *s, size_t size);
/*
 * Points *ret at `size` bytes or more (fewer only at the end) without consuming them. Bytes or
 * -errno.
 */
ssize_t source_peek(struct source *s, size_t size, const uint8_t **ret);
/* Reads some bytes into `data`, with one read(2) at most. Bytes, 0 at the end, or -errno. */
ssize_t source_read(struct source *s, void *data, size_t size);
/* Reads exactly `size` bytes. 0, -ENODATA if the input ends before that, or -errno. */
int source_read_exactly(struct source *s, void *data, size_t size);
