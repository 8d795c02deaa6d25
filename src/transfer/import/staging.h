/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hidden folder that an image is made in: POOL/.#import-NAME.XXXXXXXXXXXXXXXX, mode 0700, with
 * the image's root as "tree" in it (a subvolume on btrfs). Its maker holds a flock(2) on the
 * folder; a folder whose lock is free was left by a dead one. Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define STAGING_PREFIX ".#import-"

struct staging {
	int pool_fd; /* not owned */
	int fd;	     /* of the folder; holds the lock */
	int tree_fd; /* of the image's root */
	char name[128];
};

int staging_make(int pool_fd, const char *image_name, struct staging *ret);
/*
 * Writes all of the image to disk and gives it its name. With `replace` an image of that name is
 * exchanged and becomes what staging_discard() removes. -EEXIST when there is one otherwise.
 */
int staging_publish(struct staging *s, const char *image_name, bool replace);
/* Writes the name to disk, too. Afterwards: where that fails, the image stands all the same. */
int staging_sync_name(const struct staging *s);
/* Removes what is left of the folder and frees the lock; does nothing when there is none. */
int staging_discard(struct staging *s);

static inline void staging_done(struct staging *s)
{
	(void)staging_discard(s);
}

/* Marks a published directory or subvolume as read-only, as machinectl does, or takes that back. */
int staging_set_read_only(int tree_fd, bool read_only);

/*
 * The number of dead folders removed, or -errno of the first failure: -ETIME when it was not done
 * at that time (monotonic; UINT64_MAX: never).
 */
int staging_clean_leftovers(int pool_fd, uint64_t deadline_us);
