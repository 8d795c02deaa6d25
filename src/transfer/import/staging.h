/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hidden folder in which an import builds its image: POOL/.#import-NAME.XXXXXXXXXXXXXXXX, mode
 * 0700. It contains the root of the image as "tree", a subvolume on btrfs. The importer holds a
 * flock(2) on the folder; a folder without a lock was left by an importer that was killed. Quiet.
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

/*
 * Creates and locks the folder, and the tree in it. On success the caller calls staging_done(). 0
 * or -errno.
 */
int staging_make(int pool_fd, const char *image_name, struct staging *ret);
/*
 * Syncs the image to disk, then gives it its name. If an image of that name exists, `replace` swaps
 * it into the folder, where staging_discard() removes it. 0, -EEXIST without `replace`, or -errno.
 */
int staging_publish(struct staging *s, const char *image_name, bool replace);
/*
 * Syncs the new name to disk. Call it after staging_publish(): the image keeps its name even if
 * this fails. 0 or -errno.
 */
int staging_sync_name(const struct staging *s);
/*
 * Removes the folder with its content, and releases the lock. Does nothing if there is no folder. 0
 * or -errno.
 */
int staging_discard(struct staging *s);

static inline void staging_done(struct staging *s)
{
	(void)staging_discard(s);
}

/*
 * Marks a published directory or subvolume as read-only like machinectl, or undoes that. 0 or
 * -errno.
 */
int staging_set_read_only(int tree_fd, bool read_only);

/*
 * Removes the folders of killed importers. Returns their number, or -errno of the first failure:
 * -ETIME if deadline_us (monotonic; UINT64_MAX: none) passed before the end.
 */
int staging_clean_leftovers(int pool_fd, uint64_t deadline_us);
