/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a tar archive as GNU tar does with --format=gnu --mtime=@1 --owner=0 --group=0
 * --numeric-owner: byte for byte the same. Quiet.
 * Source: GNU tar's manual, "Basic Tar Format".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transfer/pack/encode.h"

struct tar_writer {
	struct encoder *encoder;
	uint64_t size; /* written so far */
};

enum tar_type {
	TAR_FILE = '0',
	TAR_LINK = '2', /* symbolic */
	TAR_FOLDER = '5',
};

struct tar_entry {
	enum tar_type type;
	const char *name;   /* without a leading slash; a folder's with a slash at its end */
	const char *target; /* of a link */
	mode_t mode;
	uint64_t size; /* of a file */
};

/* All return 0 or -errno: of the encoder, or -ENAMETOOLONG over TAR_NAME_MAX. */
#define TAR_NAME_MAX 65536

int tar_write_header(struct tar_writer *w, const struct tar_entry *entry);
/* A file's content: exactly `size` bytes of the descriptor. -EIO when it has become shorter. */
int tar_write_fd(struct tar_writer *w, int fd, uint64_t size);
int tar_write_data(struct tar_writer *w, const void *data, size_t size);
/* Zeros up to the next block of 512; behind each content. */
int tar_write_padding(struct tar_writer *w);
/* The end of the archive, padded to the record of 10 KiB. */
int tar_write_end(struct tar_writer *w);
