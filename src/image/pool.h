/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that a pool hides, and where the pools are. */
#pragma once

#include <stddef.h>

#include "image/image.h"

#define POOL_HIDDEN_PREFIX ".#"
#define POOL_REMOVE_PREFIX ".#remove-" /* NAME.XXXXXXXX: a tree on its way out, flock(2)ed */
#define POOL_LOCK_SUFFIX ".lck"	       /* .#ENTRY.lck, see lock.h */

/* In the order of looking. */
extern const struct image_pool image_pools[];
size_t image_pools_count(void);
