/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removing a tree of files. Must never follow a link or enter another mount: below may be the
 * host's own files. Parent side of clone() only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "kernel/sys.h"
#include "lib/fs.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"
#include "lib/tree_walk.h"

/* How often a directory that fills up again during the removal is emptied anew. */
#define REFILL_RETRIES 64
/* Every btrfs subvolume's top directory has this inode number. */
#define BTRFS_SUBVOLUME_INODE 256

struct removal {
	unsigned refills;
	uint64_t deadline_us;
};

static int check_time(const struct removal *removal)
{
	return removal->deadline_us != UINT64_MAX && time_monotonic_us() > removal->deadline_us
		       ? -ETIME
		       : 0;
}

static int open_in_mount(int dir_fd, const char *name, int flags)
{
	return sys_openat2(dir_fd, name, (uint64_t)(flags | O_CLOEXEC), 0,
			   RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
}

/* Only directories and regular files have attributes; 0 also when there was nothing to clear. */
static int clear_attributes(int fd)
{
	int attributes;

	if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0)
		return errno == ENOTTY || errno == EOPNOTSUPP ? 0 : -errno;
	if (!(attributes & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return 0;
	attributes &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return ioctl(fd, FS_IOC_SETFLAGS, &attributes) < 0 ? -errno : 0;
}

/* Takes away what keeps dir_fd/name from being removed. Opens no device: that could act. */
static int make_removable(int dir_fd, const char *name)
{
	autoclose int fd = -1;
	struct stat st;
	int r = clear_attributes(dir_fd);

	if (r < 0)
		return r;
	/* Without privilege, as in a rootless image, the store's directories are read-only: 0555.
	 */
	if (fstat(dir_fd, &st) == 0 && (st.st_mode & 0300) != 0300)
		(void)fchmod(dir_fd, (st.st_mode & 07777) | 0700);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	fd = open_in_mount(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0)
		return fd;
	return clear_attributes(fd);
}

/* unlinkat() says EBUSY for a mount point, but also for other reasons. */
static int busy_reason(int dir_fd, const char *name)
{
	autoclose int fd = open_in_mount(dir_fd, name, O_PATH | O_NOFOLLOW);

	return fd == -EXDEV ? -EXDEV : -EBUSY;
}

static int unlink_one(int dir_fd, const char *name, int flags)
{
	if (unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT)
		return 0;
	if (errno == EPERM || errno == EACCES) {
		int error = -errno;

		if (make_removable(dir_fd, name) < 0)
			return error;
		if (unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT)
			return 0;
	}
	return errno == EBUSY ? busy_reason(dir_fd, name) : -errno;
}

/* A directory whose owner has no right to read it: gives that right, without a race on the name. */
static int make_readable(int dir_fd, const char *name)
{
	autoclose int fd = open_in_mount(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
	char self[32];

	if (fd < 0)
		return fd;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return chmod(self, 0700) < 0 ? -errno : 0;
}

static int open_dir(int dir_fd, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
	int fd = open_in_mount(dir_fd, name, flags);

	if (fd == -EACCES && make_readable(dir_fd, name) == 0)
		fd = open_in_mount(dir_fd, name, flags);
	return fd;
}

static bool is_subvolume(int fd)
{
	struct statfs fs;
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == BTRFS_SUBVOLUME_INODE && fstatfs(fd, &fs) == 0 &&
	       fs.f_type == BTRFS_SUPER_MAGIC;
}

/*
 * True when the kernel dropped the whole subvolume at once. Otherwise (others are nested in it, or
 * no privilege) it is made writable and emptied like any directory; an empty one can be removed
 * by rmdir(2) since Linux 4.18.
 */
static bool destroy_subvolume(int dir_fd, const char *name, int fd)
{
	struct btrfs_ioctl_vol_args args = {};
	uint64_t flags;

	if (strlen(name) >= sizeof(args.name))
		return false;
	memcpy(args.name, name, strlen(name));
	if (ioctl(dir_fd, BTRFS_IOC_SNAP_DESTROY, &args) == 0)
		return true;
	if (ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) == 0 && (flags & BTRFS_SUBVOL_RDONLY)) {
		flags &= ~(uint64_t)BTRFS_SUBVOL_RDONLY;
		(void)ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
	}
	return false;
}

static int enter_dir(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	autoclose int fd = -1;

	if (check_time(userdata) < 0)
		return -ETIME;
	fd = open_dir(dir_fd, name);
	if (fd < 0)
		return fd;
	if (is_subvolume(fd) && destroy_subvolume(dir_fd, name, fd))
		return 0;
	*ret_fd = take_fd(&fd);
	return 1;
}

static int remove_file(void *userdata, int dir_fd, const char *name)
{
	int r = check_time(userdata);

	return r < 0 ? r : unlink_one(dir_fd, name, 0);
}

static int remove_dir(void *userdata, int dir_fd, const char *name)
{
	struct removal *removal = userdata;
	int r = check_time(removal);

	if (r < 0)
		return r;
	r = unlink_one(dir_fd, name, AT_REMOVEDIR);
	/* Some file systems skip entries when others are removed during the reading. */
	if ((r == -ENOTEMPTY || r == -EEXIST) && removal->refills++ < REFILL_RETRIES)
		return 1;
	return r;
}

static int remove_component(int dir_fd, const char *name, uint64_t deadline_us)
{
	static const struct tree_visitor visitor = {enter_dir, remove_file, remove_dir};
	struct removal removal = {.deadline_us = deadline_us};
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return unlink_one(dir_fd, name, 0);
	return tree_walk(dir_fd, name, &visitor, &removal);
}

int fs_remove_tree_until(int dirfd, const char *name, uint64_t deadline_us)
{
	const char *last = path_last(name);
	autofree char *parent = NULL;
	autoclose int parent_fd = -1;

	if (!*last || streq(last, ".") || streq(last, ".."))
		return -EINVAL;
	parent = last > name ? strndup(name, (size_t)(last - name)) : strdup(".");
	if (!parent)
		return -ENOMEM;
	parent_fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0)
		return -errno;
	return remove_component(parent_fd, last, deadline_us);
}

int fs_remove_tree_at(int dirfd, const char *name)
{
	return fs_remove_tree_until(dirfd, name, UINT64_MAX);
}
