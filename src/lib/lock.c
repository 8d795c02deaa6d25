/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks on files by open file description. Must never report a lock on a file that has been
 * replaced under its name. Parent side of clone() only.
 */
#include "lib/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/cleanup.h"

#define REPLACED_RETRIES 64

static int lock_fd(int fd, bool shared, int command)
{
	struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, command, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int lock_take_fd(int fd, bool shared)
{
	return lock_fd(fd, shared, F_OFD_SETLK);
}

/* 1 when fd still is what dirfd/name leads to, 0 when it was removed or replaced meanwhile. */
static int is_current(int fd, int dirfd, const char *name)
{
	struct stat ours, named;

	if (fstat(fd, &ours) < 0)
		return -errno;
	if (fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

static int open_and_lock(int dirfd, const char *name, bool shared, int command)
{
	for (int i = 0; i < REPLACED_RETRIES; i++) {
		autoclose int fd = openat(
			dirfd, name,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
		int r;

		if (fd < 0)
			return -errno;
		r = lock_fd(fd, shared, command);
		if (r < 0)
			return r;
		r = is_current(fd, dirfd, name);
		if (r < 0)
			return r;
		if (r > 0)
			return take_fd(&fd);
	}
	return -EBUSY;
}

int lock_take_at(int dirfd, const char *name, bool shared)
{
	return open_and_lock(dirfd, name, shared, F_OFD_SETLK);
}

int lock_wait_at(int dirfd, const char *name, bool shared)
{
	return open_and_lock(dirfd, name, shared, F_OFD_SETLKW);
}

int lock_is_held_at(int dirfd, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	autoclose int fd =
		openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}
