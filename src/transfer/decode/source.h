/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compressed input: a file or a pipe, read strictly forwards by one thread in large pieces.
 * Bytes read are counted where the parent sees them. Quiet.
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
	uint64_t end;	/* offset behind the last byte, as of opening */
	uint8_t *buffer;
	size_t used;		   /* bytes in the buffer that were handed out */
	size_t filled;		   /* bytes in the buffer */
	_Atomic uint64_t *counter; /* bytes read so far; may be NULL */
};

/* -EISDIR for a directory. 0 or -errno. */
int source_open(struct source *s, int fd, _Atomic uint64_t *counter);
void source_done(struct source *s);

/* Points at what is buffered, reads when nothing is. Bytes, 0 at the end, or -errno. */
ssize_t source_fill(struct source *s, const uint8_t **ret);
void source_consume(struct source *s, size_t size);
/* At least `size` bytes (fewer only at the end) without consuming them. Bytes or -errno. */
ssize_t source_peek(struct source *s, size_t size, const uint8_t **ret);
/* Some bytes into data, by one read(2) at most. Bytes, 0 at the end, or -errno. */
ssize_t source_read(struct source *s, void *data, size_t size);
/* Exactly `size` bytes. 0, -ENODATA when the input ends before, or -errno. */
int source_read_exactly(struct source *s, void *data, size_t size);
