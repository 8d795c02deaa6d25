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

/*
 * Takes away what removals and machines that were killed have left in the pools: hidden trees, and
 * lock files that nobody holds. At the deadline of the monotonic clock the rest is left for another
 * call. Quiet. How many, or -errno.
 */
int image_clean_leftovers(uint64_t deadline_us);
