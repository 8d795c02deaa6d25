/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removing images, so that a name is either an image as it was, or free. Logs. Caller's side. */
#pragma once

#include "image/image.h"

/*
 * Removes the image with its settings files (NAME.nspawn in /etc/systemd/nspawn,
 * /run/systemd/nspawn, /etc/redd/nspawn and beside it). Of a link only the link. Refused for images
 * in use (-EBUSY), below /usr (-EROFS), and with file systems mounted in them (-EBUSY). The name is
 * free at once: the tree gets a hidden name before it is taken apart.
 */
int image_remove(const struct image *image);

/* For commands that have other work, and have done it or are about to. */
#define IMAGE_CLEAN_SHORT_US UINT64_C(200000)

/*
 * Takes away what removals and machines that were killed have left in the pools: hidden trees, and
 * lock files that nobody holds. A tree that takes longer than `budget_us` (UINT64_MAX: no limit) is
 * left, smaller, to the next command. Quiet. How many, or -errno.
 */
int image_clean_leftovers(uint64_t budget_us);
