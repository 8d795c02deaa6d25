/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nobody runs, changes or removes an image that somebody else is using: two locks per image, one by
 * name (".#NAME.lck" beside it) and one by inode (/run/systemd/nspawn/locks/inode-DEV:INO), so that
 * a rename or a second link gives no way around. Files and lock type (open file description locks
 * on the whole file, fcntl(2)) are those of systemd-nspawn and machined: they and redd keep each
 * other out, both ways. Quiet. Caller's side of clone().
 */
#pragma once

#include <stdbool.h>

#include "image/image.h"

#define IMAGE_LOCKS_DIR "/run/systemd/nspawn/locks"

struct image_lock {
	int dir_fd;  /* where the name's lock file is */
	char *name;  /* of that file */
	int name_fd; /* -1 where the pool is read-only */
	int inode_fd;
	char inode[64]; /* the other file's name */
};

#define IMAGE_LOCK_NONE ((struct image_lock){.dir_fd = -1, .name_fd = -1, .inode_fd = -1})

/*
 * Exclusive to run or change the image, shared to run it read-only or to copy it. -EBUSY when
 * somebody else holds it otherwise. The locks live as long as a copy of the descriptors: a
 * supervisor that was forked keeps them; dying, even by SIGKILL, frees them.
 */
int image_lock(const struct image *image, bool shared, struct image_lock *ret);
/* Closes both and removes the files, if nobody else holds the lock. */
void image_lock_release(struct image_lock *lock);
#define auto_image_lock autocall(image_lock_release)
