/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes tar archives, byte for byte like GNU tar with --format=gnu --mtime=@1 --owner=0 --group=0
 * --numeric-owner. Quiet. Source: GNU tar's manual, "Basic Tar Format".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transfer/pack/encode.h"

struct tar_writer {
	struct encoder *encoder;
	uint64_t size; /* bytes written so far */
};

enum tar_type {
	TAR_FILE = '0',
	TAR_LINK = '2', /* symbolic */
	TAR_FOLDER = '5',
};

struct tar_entry {
	enum tar_type type;
	const char *name;   /* no leading slash; a folder's name ends with a slash */
	const char *target; /* of a link */
	mode_t mode;
	uint64_t size; /* of a file */
};

/*
 * All functions return 0 or -errno: that of the encoder, or -ENAMETOOLONG for a name or link target
 * over TAR_NAME_MAX.
 */
#define TAR_NAME_MAX 65536

int tar_write_header(struct tar_writer *w, const struct tar_entry *entry);
/*
 * Writes the content of a file: exactly `size` bytes from the descriptor. -EIO if the file has
 * become shorter.
 */
int tar_write_fd(struct tar_writer *w, int fd, uint64_t size);
int tar_write_data(struct tar_writer *w, const void *data, size_t size);
/* Writes zeros up to the next block of 512 bytes. Call it after each content. */
int tar_write_padding(struct tar_writer *w);
/* Writes the end of the archive, padded to a record of 10 KiB. */
int tar_write_end(struct tar_writer *w);
