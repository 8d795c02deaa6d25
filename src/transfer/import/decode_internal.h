/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between decode.c and one file for each compression: a pump reads the source to its end and puts
 * what it decompressed into the queue, in order. It runs in a thread of the worker. It words its
 * failure and returns it; -ECANCELED needs no words.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transfer/failure.h"
#include "transfer/import/source.h"
#include "transfer/queue.h"

struct pump {
	struct source *source;
	struct queue *queue;
	struct failure *failure;
	struct chunk *chunk; /* the one being filled, see pump_space() */
	size_t used;
	size_t cpus;
	size_t budget; /* of the queue, in bytes */
};

int pump_plain(struct pump *p);
int pump_gzip(struct pump *p);
int pump_bzip2(struct pump *p);
int pump_zstd(struct pump *p);
int pump_xz(struct pump *p);

/* Room for output: bytes (never 0), or -errno. */
ssize_t pump_space(struct pump *p, uint8_t **ret);
/* `size` bytes of the room were filled. */
void pump_commit(struct pump *p, size_t size);
/* Hands out what was filled since; needed before a piece is added to the queue by other means. */
void pump_flush(struct pump *p);

/* Input, with the failure worded: bytes, 0 at the end, or -errno. */
ssize_t pump_input(struct pump *p, const uint8_t **ret);
int pump_truncated(struct pump *p, const char *format);
int pump_corrupt(struct pump *p, const char *format, const char *detail);
int pump_oom(struct pump *p);
