/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compresses a stream in blocks, on all processors. Blocks are cut at fixed offsets, and each is
 * complete in itself (an xz block with its sizes in its header, a zstd frame, a gzip member). So
 * the output depends neither on the number of processors nor on their speed, and a reader can
 * decode the blocks in parallel. Quiet: failures are returned as -errno.
 *
 *	encoder_start(&config, &encoder);
 *	while ((room = encoder_room(encoder, &size)) …) {
 *		fill `n` bytes of it;
 *		encoder_commit(encoder, n);
 *	}
 *	encoder_finish(encoder);
 *	encoder_free(encoder);
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
	uint32_t level;	  /* one of the format's levels, or ENCODE_LEVEL_DEFAULT */
	unsigned threads; /* 0: one per processor, fewer if memory is short */
	int out_fd;	  /* borrowed; written in order */
	_Atomic uint64_t *bytes_out;
	/*
	 * Called for each block, and ten times a second while waiting. An error cancels. May be
	 * NULL.
	 */
	int (*tick)(void *userdata);
	void *userdata;
};

/*
 * Parses a format with an optional level: "xz", "zstd:19", "gzip", "none". Without a level,
 * *ret_level is ENCODE_LEVEL_DEFAULT. 0, -EINVAL for an unknown format, or -ERANGE for a level that
 * the format doesn't have.
 */
int encode_parse(const char *text, enum encode_format *ret_format, uint32_t *ret_level);
/*
 * Finds the format by the suffix of a file name: .tar, .tar.xz, .txz, .tar.zst, .tar.zstd, .tzst,
 * .tar.gz or .tgz. 0, or -EINVAL for any other.
 */
int encode_format_from_name(const char *path, enum encode_format *ret);

struct encoder;

/* 0 or -errno. The caller frees *ret with encoder_free(). */
int encoder_start(const struct encode_config *config, struct encoder **ret);
/*
 * The room left in the current block, at least one byte. Waits for a free block. NULL on failure:
 * see encoder_error().
 */
uint8_t *encoder_room(struct encoder *e, size_t *ret_size);
/* Adds `size` bytes of that room to the stream. 0 or the first failure. */
int encoder_commit(struct encoder *e, size_t size);
/* The first failure, or 0. */
int encoder_error(struct encoder *e);
/* Compresses and writes what is left, then the end of the stream. 0 or the first failure. */
int encoder_finish(struct encoder *e);
/* Frees the encoder. Before encoder_finish(), it abandons blocks that are being compressed. */
void encoder_free(struct encoder *e);
DEFINE_POINTER_CLEANUP(struct encoder *, encoder_free)
