// SPDX-License-Identifier: LGPL-2.1-or-later
/* Locks of profiles and of the garbage collector. Caller's side of clone(). */
#include "nix/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/str.h"
#include "log/log.h"
#include "nix/nix.h"

#define GC_LOCK NIX_STATE_DIR "/gc.lock"
#define STALE_RETRIES 1000

/* Logs `waiting` before it blocks. */
static int take(int fd, int operation, const char *waiting)
{
	if (flock(fd, operation | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -errno;
	log_info("%s", waiting);
	while (flock(fd, operation) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 1: locked; 0: the last holder has removed the file that was locked, try again. */
static int try_profile_lock(int dir_fd, const char *lock_name, int *ret_fd)
{
	autoclose int fd =
		openat(dir_fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = take(fd, LOCK_EX, "somebody else changes the profile: waiting");
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0 || st.st_nlink == 0)
		return 0;
	*ret_fd = take_fd(&fd);
	return 1;
}

int nix_profile_lock(int dir_fd, const char *name, struct nix_profile_lock *ret)
{
	autofree char *lock_name = str_printf("%s.lock", name);
	int r = 0, fd = -1;

	if (!lock_name)
		return log_oom();
	for (int i = 0; i < STALE_RETRIES && r == 0; i++)
		r = try_profile_lock(dir_fd, lock_name, &fd);
	if (r <= 0)
		return log_errno(r < 0 ? r : -EBUSY, "lock the profile by its %s", lock_name);
	*ret = (struct nix_profile_lock){.dir_fd = dir_fd, .fd = fd, .name = name};
	return 0;
}

void nix_profile_unlock(struct nix_profile_lock *lock)
{
	autofree char *lock_name = NULL;

	if (!lock->name)
		return;
	lock_name = str_printf("%s.lock", lock->name);
	if (lock_name && unlinkat(lock->dir_fd, lock_name, 0) == 0)
		(void)!write(lock->fd, "d", 1);
	(void)close(lock->fd);
	*lock = (struct nix_profile_lock){.fd = -1};
}

static int take_gc_lock(int fd)
{
	int r = take(fd, LOCK_SH, "a garbage collection runs: waiting for its end");

	return r < 0 ? log_errno(r, "take the garbage collector's lock " GC_LOCK) : 0;
}

int nix_gc_lock(int *ret_fd)
{
	autoclose int fd = open(GC_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return log_errno(-errno, "open the garbage collector's lock " GC_LOCK);
	r = take_gc_lock(fd);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int nix_gc_hold(int *ret_fd)
{
	autoclose int fd = open(GC_LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? 0 : take_gc_lock(fd);

	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
