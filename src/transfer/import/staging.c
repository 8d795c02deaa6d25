/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates, publishes and removes the hidden folders of imports. Must never publish a tree that is
 * not on disk, nor remove the folder of an import that still runs. Runs in the worker's parent.
 */
#include "transfer/import/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/fs.h"
#include "lib/str.h"

#define TREE_NAME "tree"
#define MAKE_TRIES 16
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool on_btrfs(int fd)
{
	struct statfs sfs;

	return fstatfs(fd, &sfs) == 0 && sfs.f_type == BTRFS_SUPER_MAGIC;
}

/* The image must not inherit set-gid or a default ACL from the pool. */
static int tree_reset(int fd)
{
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, 0755) < 0)
		return -errno;
	if (fremovexattr(fd, "system.posix_acl_default") < 0 && errno != ENODATA &&
	    errno != EOPNOTSUPP)
		return -errno;
	if (fremovexattr(fd, "system.posix_acl_access") < 0 && errno != ENODATA &&
	    errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

static int tree_make(int dir_fd)
{
	struct btrfs_ioctl_vol_args args = {.name = TREE_NAME};
	autoclose int fd = -1;
	int r;

	if (!on_btrfs(dir_fd) || ioctl(dir_fd, BTRFS_IOC_SUBVOL_CREATE, &args) < 0)
		if (mkdirat(dir_fd, TREE_NAME, 0755) < 0)
			return -errno;
	fd = openat(dir_fd, TREE_NAME, OPEN_DIR);
	if (fd < 0)
		return -errno;
	r = tree_reset(fd);
	return r < 0 ? r : take_fd(&fd);
}

/* -EAGAIN if the name is taken, or a cleaner removed the folder before it was locked. */
static int folder_make(int pool_fd, const char *name)
{
	autoclose int fd = -1;
	struct stat made, there;

	if (mkdirat(pool_fd, name, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	fd = openat(pool_fd, name, OPEN_DIR);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &made) < 0)
		return -errno;
	if (fstatat(pool_fd, name, &there, AT_SYMLINK_NOFOLLOW) < 0 || there.st_ino != made.st_ino)
		return -EAGAIN;
	return take_fd(&fd);
}

int staging_make(int pool_fd, const char *image_name, struct staging *ret)
{
	struct staging s = {.pool_fd = pool_fd, .fd = -EAGAIN, .tree_fd = -1};
	uint64_t id;

	for (unsigned i = 0; i < MAKE_TRIES && s.fd == -EAGAIN; i++) {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return -EIO;
		(void)snprintf(s.name, sizeof(s.name), STAGING_PREFIX "%.64s.%016llx", image_name,
			       (unsigned long long)id);
		s.fd = folder_make(pool_fd, s.name);
	}
	if (s.fd < 0)
		return s.fd;
	s.tree_fd = tree_make(s.fd);
	if (s.tree_fd < 0) {
		int r = s.tree_fd;

		(void)staging_discard(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int staging_publish(struct staging *s, const char *image_name, bool replace)
{
	int r;

	if (syncfs(s->tree_fd) < 0)
		return -errno;
	r = sys_renameat2(s->fd, TREE_NAME, s->pool_fd, image_name, RENAME_NOREPLACE);
	if (r == -EEXIST && replace)
		r = sys_renameat2(s->fd, TREE_NAME, s->pool_fd, image_name, RENAME_EXCHANGE);
	return r;
}

int staging_sync_name(const struct staging *s)
{
	if (fsync(s->pool_fd) == 0)
		return 0;
	/* Some file systems can't sync a folder and offer no other way. */
	return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
}

int staging_discard(struct staging *s)
{
	int r = 0;

	if (s->fd >= 0)
		r = fs_remove_tree_at(s->pool_fd, s->name);
	if (s->tree_fd >= 0)
		(void)close(s->tree_fd);
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	s->tree_fd = -1;
	return r == -ENOENT ? 0 : r;
}

int staging_set_read_only(int tree_fd, bool read_only)
{
	unsigned flags, wanted;
	uint64_t subvolume;

	if (on_btrfs(tree_fd) && ioctl(tree_fd, BTRFS_IOC_SUBVOL_GETFLAGS, &subvolume) == 0) {
		subvolume &= ~(uint64_t)BTRFS_SUBVOL_RDONLY;
		subvolume |= read_only ? BTRFS_SUBVOL_RDONLY : 0;
		return ioctl(tree_fd, BTRFS_IOC_SUBVOL_SETFLAGS, &subvolume) < 0 ? -errno : 0;
	}
	if (ioctl(tree_fd, FS_IOC_GETFLAGS, &flags) < 0)
		return read_only ? -errno : 0;
	wanted = (flags & ~(unsigned)FS_IMMUTABLE_FL) | (read_only ? FS_IMMUTABLE_FL : 0);
	if (wanted == flags)
		return 0;
	return ioctl(tree_fd, FS_IOC_SETFLAGS, &wanted) < 0 ? -errno : 0;
}

/* 1 if it was removed, 0 if its importer still runs or it is not a folder, or -errno. */
static int leftover_remove(int pool_fd, const char *name, uint64_t deadline_us)
{
	autoclose int fd = openat(pool_fd, name, OPEN_DIR);
	int r;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	r = fs_remove_tree_until(pool_fd, name, deadline_us);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return 1;
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int staging_clean_leftovers(int pool_fd, uint64_t deadline_us)
{
	autocall(cleanup_dir) DIR *dir = NULL;
	autoclose int fd = openat(pool_fd, ".", OPEN_DIR);
	const struct dirent *de;
	int removed = 0, error = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	while ((de = readdir(dir))) {
		int r;

		if (!str_after_prefix(de->d_name, STAGING_PREFIX))
			continue;
		r = leftover_remove(pool_fd, de->d_name, deadline_us);
		if (r < 0 && error == 0)
			error = r;
		removed += r > 0;
	}
	return error < 0 ? error : removed;
}
