// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image locks shared with systemd-nspawn. Must never wait, and never remove a lock file that it
 * does not hold exclusively. Caller's side of clone().
 */
#include "image/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/lock.h"
#include "lib/path.h"
#include "lib/str.h"

#define BUSY_RETRIES 2
#define BUSY_WAIT_US 1000

/* The directory and file name of the lock beside the image itself, not beside a link to it. */
static int open_name_lock(const struct image *image, struct image_lock *lock)
{
	autofree char *real = realpath(image->path, NULL), *parent = NULL;

	if (!real)
		return -errno;
	/* The host's own root has no place beside it. */
	if (!real[1])
		return 0;
	lock->name = str_printf(".#%s.lck", path_last(real));
	parent = strndup(real, (size_t)(path_last(real) - real));
	if (!lock->name || !parent)
		return -ENOMEM;
	lock->dir_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return lock->dir_fd < 0 ? -errno : 0;
}

static int take_name_lock(const struct image *image, bool shared, struct image_lock *lock)
{
	int r = open_name_lock(image, lock);

	if (r < 0 || lock->dir_fd < 0)
		return r;
	lock->name_fd = lock_take_at(lock->dir_fd, lock->name, shared);
	/* Nobody can put one on a read-only file system; the inode's lock still counts. */
	return lock->name_fd == -EROFS ? 0 : lock->name_fd;
}

static void name_inode_lock(const struct image *image, struct image_lock *lock)
{
	(void)snprintf(lock->inode, sizeof(lock->inode), "inode-%lu:%lu", (unsigned long)image->dev,
		       (unsigned long)image->ino);
}

static int take_inode_lock(const struct image *image, bool shared, struct image_lock *lock)
{
	autoclose int dir_fd = -1;
	int r;

	/* Before nspawn's first run here there is no such directory; it makes it 0700, too. */
	r = fs_make_dirs(IMAGE_LOCKS_DIR, 0700);
	if (r < 0)
		return r;
	dir_fd = open(IMAGE_LOCKS_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	name_inode_lock(image, lock);
	lock->inode_fd = lock_take_at(dir_fd, lock->inode, shared);
	return lock->inode_fd;
}

static int take_both(const struct image *image, bool shared, struct image_lock *ret)
{
	auto_image_lock struct image_lock lock = IMAGE_LOCK_NONE;
	int r;

	r = take_name_lock(image, shared, &lock);
	if (r < 0)
		return r;
	r = take_inode_lock(image, shared, &lock);
	if (r < 0)
		return r;
	*ret = lock;
	lock = IMAGE_LOCK_NONE;
	return 0;
}

/* image_clean_leftovers() may hold a lock for the blink of an eye: that is nobody at work. */
int image_lock(const struct image *image, bool shared, struct image_lock *ret)
{
	int r = take_both(image, shared, ret);

	for (int i = 0; i < BUSY_RETRIES && r == -EBUSY; i++) {
		(void)usleep(BUSY_WAIT_US);
		r = take_both(image, shared, ret);
	}
	return r;
}

/* Of several sharers the last one removes the file: only it gets the exclusive lock. */
static void remove_file(int fd, int dir_fd, const char *name)
{
	if (fd >= 0 && lock_take_fd(fd, false) == 0)
		(void)unlinkat(dir_fd, name, 0);
}

void image_lock_release(struct image_lock *lock)
{
	int saved = errno;

	if (lock->inode_fd >= 0) {
		char path[sizeof(IMAGE_LOCKS_DIR) + sizeof(lock->inode)];

		/* By its path: that works without a free descriptor, too. */
		(void)snprintf(path, sizeof(path), IMAGE_LOCKS_DIR "/%s", lock->inode);
		remove_file(lock->inode_fd, AT_FDCWD, path);
	}
	remove_file(lock->name_fd, lock->dir_fd, lock->name);
	cleanup_close(&lock->inode_fd);
	cleanup_close(&lock->name_fd);
	cleanup_close(&lock->dir_fd);
	free(lock->name);
	*lock = IMAGE_LOCK_NONE;
	errno = saved;
}
