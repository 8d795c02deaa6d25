/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compression of a stream in blocks, on all processors. Blocks are cut at fixed places and each is
 * complete in itself (an xz block with its sizes in its header, a zstd frame, a gzip member), so
 * that the bytes that come out depend neither on the number of processors nor on their speed, and a
 * reader can decode them in parallel. Quiet: failures are errnos.
 *
 *	encoder_start(&config, &encoder);
 *	while ((room = encoder_room(encoder, &size)) …) { fill some of it; encoder_commit(encoder,
 *n); } encoder_finish(encoder); encoder_free(encoder);
 *
 * Sources: the .xz file format 1.1.0; RFC 8878; RFC 1952.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

enum encode_format {
	ENCODE_NONE,
	ENCODE_GZIP,
	ENCODE_XZ,
	ENCODE_ZSTD,
};

#define ENCODE_LEVEL_DEFAULT UINT32_MAX

struct encode_config {
	enum encode_format format;
	uint32_t level;	  /* of the format, or ENCODE_LEVEL_DEFAULT */
	unsigned threads; /* 0: one for each processor, as far as the memory allows */
	int out_fd;	  /* borrowed; written in order */
	_Atomic uint64_t *bytes_out;
	/* Called for each block, and ten times a second while waiting; an error cancels. May be
	 * NULL. */
	int (*tick)(void *userdata);
	void *userdata;
};

/*
 * "xz", "zstd:19", "gzip", "none". -EINVAL: no such format; -ERANGE: it has no such level.
 * ENCODE_LEVEL_DEFAULT where none is given.
 */
int encode_parse(const char *text, enum encode_format *ret_format, uint32_t *ret_level);
/* By a file's suffix: .tar.xz .txz .tar.zst .tar.gz .tgz .tar, else -EINVAL. */
int encode_format_from_name(const char *path, enum encode_format *ret);

struct encoder;

int encoder_start(const struct encode_config *config, struct encoder **ret);
/* Room in the block that is being filled, at least one byte; waits for a block. NULL: see error. */
uint8_t *encoder_room(struct encoder *e, size_t *ret_size);
int encoder_commit(struct encoder *e, size_t size);
/* The first failure, or 0. */
int encoder_error(struct encoder *e);
/* What is left, and the format's end. 0 or the first failure. */
int encoder_finish(struct encoder *e);
/* Also before the end: then what is being compressed is given up. */
void encoder_free(struct encoder *e);
DEFINE_POINTER_CLEANUP(struct encoder *, encoder_free)
