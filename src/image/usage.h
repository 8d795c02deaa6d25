/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much disk an image takes, without walking it each time.
 *
 * A raw disk says it by itself (st_blocks); a btrfs subvolume by its quota group, where quotas are
 * on. For other trees the last measurement is kept in one small file, /var/cache/redd/usage: a line
 * "INO BIRTH_NS BYTES MEASURED_US" each, found by the root's inode and birth time, so that it holds
 * across renames, for read-only and immutable images, and on file systems without xattrs. It is
 * recorded when an image is imported and whenever `image-status` walks it; `list-images` only reads
 * it, and marks with "~" what may have changed since. Losing the file loses nothing else. Quiet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

/* The oldest measurements beyond this many are dropped. */
#define IMAGE_USAGE_MAX 16384

/* Fills in usage_bytes of those that do not know it yet; unknown ones stay UINT64_MAX. */
void image_usage_load(struct image **images, size_t n);
/* Walks the image, unless it is exact already, sets usage_bytes and records it. 0 or -errno. */
int image_usage_measure(struct image *image);
/* Keeps what an import knows anyway, of dirfd/name. 0 or -errno, which is no reason to fail. */
int image_usage_record(int dirfd, const char *name, uint64_t bytes);
