// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Removes images: rename(2) to a hidden name is the moment it happens; all before can be undone,
 * all after can be finished by anybody (image_clean_leftovers). Must never follow a link nor cross
 * into a mount. Caller's side of clone().
 */
#include "image/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "image/lock.h"
#include "image/mounts.h"
#include "image/pool.h"
#include "kernel/sys.h"
#include "lib/fs.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

/* Where the image's entry is. */
static int open_pool(const struct image *image)
{
	size_t size = (size_t)(path_last(image->path) - image->path);
	autofree char *parent = strndup(image->path, size);
	int fd;

	if (!parent)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int refuse_mounts(const struct image *image)
{
	autofree char *real = realpath(image->path, NULL), *mount = NULL;
	int r;

	if (!real)
		return log_errno(-errno, "resolve '%s'", image->path);
	r = mounts_find_below(real, &mount);
	if (r < 0)
		return log_errno(r, "look for file systems mounted in image '%s'", image->name);
	if (r == 0)
		return 0;
	(void)log_error(-EBUSY, "image '%s' is not removed: a file system is mounted on %s",
			image->name, mount);
	log_hint("unmount it first: umount %s", mount);
	return -EBUSY;
}

static int refuse_vendor(const struct image *image)
{
	(void)log_error(-EROFS, "image '%s' is not removed: %s belongs to the host's system",
			image->name, image->path);
	log_hint("remove the package that brought it");
	return -EROFS;
}

static int lock_for_removal(const struct image *image, struct image_lock *ret)
{
	int r = image_lock(image, false, ret);

	if (r == -EBUSY) {
		(void)log_error(r, "image '%s' is not removed: it is in use", image->name);
		log_hint("'redd list' shows what runs; 'redd stop NAME' ends it");
		return r;
	}
	return log_errno(r, "lock image '%s'", image->name);
}

/*
 * An immutable directory can't be renamed, an immutable file not unlinked. *ret_flags are those to
 * put back when that fails all the same; -1 for none.
 */
static int clear_immutable(int fd, int *ret_flags)
{
	const int in_the_way = FS_IMMUTABLE_FL | FS_APPEND_FL;
	int flags = 0, cleared;

	*ret_flags = -1;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & in_the_way))
		return 0;
	cleared = flags & ~in_the_way;
	if (ioctl(fd, FS_IOC_SETFLAGS, &cleared) < 0)
		return -errno;
	*ret_flags = flags;
	return 0;
}

static void restore_flags(int fd, int flags)
{
	if (flags >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
		log_warning_errno(-errno, "make the image immutable again");
}

static int hide(int pool_fd, const char *entry, const char *name, char **ret_hidden)
{
	autofree char *hidden = NULL;
	uint32_t tag;
	int r;

	if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
		return -EIO;
	hidden = str_printf(POOL_REMOVE_PREFIX "%s.%08" PRIx32, name, tag);
	if (!hidden)
		return -ENOMEM;
	r = sys_renameat2(pool_fd, entry, pool_fd, hidden, RENAME_NOREPLACE);
	if (r < 0)
		return r;
	*ret_hidden = take_ptr(hidden);
	return 0;
}

static void remove_settings(const struct image *image, int pool_fd)
{
	static const char *const folders[] = {"/etc/systemd/nspawn", "/run/systemd/nspawn",
					      "/etc/redd/nspawn"};
	autofree char *file = str_printf("%s.nspawn", image->name);

	if (!file) {
		(void)log_oom();
		return;
	}
	if (unlinkat(pool_fd, file, 0) < 0 && errno != ENOENT)
		log_warning_errno(-errno, "remove %s beside %s", file, image->path);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		autofree char *path = str_printf("%s/%s", folders[i], file);

		if (path && unlink(path) < 0 && errno != ENOENT)
			log_warning_errno(-errno, "remove the settings file %s", path);
	}
}

/* The tree, from here to gone. `lock` ends with the rename, so that the name can be used again. */
static int remove_directory(const struct image *image, int pool_fd, struct image_lock *lock)
{
	autoclose int root_fd = image_open(image);
	autofree char *hidden = NULL;
	int flags, r;

	if (root_fd < 0)
		return log_errno(root_fd, "open image '%s'", image->name);
	/* Tells a cleaner that somebody is at it. */
	if (flock(root_fd, LOCK_EX | LOCK_NB) < 0)
		return log_errno(-errno, "lock the tree of image '%s'", image->name);
	r = clear_immutable(root_fd, &flags);
	if (r < 0)
		return log_errno(r, "make the immutable image '%s' removable", image->name);
	r = hide(pool_fd, path_last(image->path), image->name, &hidden);
	if (r < 0) {
		restore_flags(root_fd, flags);
		return log_errno(r, "take image '%s' out of %s", image->name, image->path);
	}
	remove_settings(image, pool_fd);
	image_lock_release(lock);
	r = fs_remove_tree_at(pool_fd, hidden);
	if (r < 0) {
		(void)log_errno(r, "remove all of image '%s'", image->name);
		log_hint("the name is free, the rest is %s beside it; the next command tries again",
			 hidden);
	}
	return r;
}

static int remove_link(const struct image *image, int pool_fd)
{
	if (unlinkat(pool_fd, path_last(image->path), 0) < 0)
		return log_errno(-errno, "remove the link %s", image->path);
	remove_settings(image, pool_fd);
	return 0;
}

static int remove_file(const struct image *image, int pool_fd)
{
	autoclose int fd = image_open(image);
	int flags, r;

	if (fd < 0)
		return log_errno(fd, "open image '%s'", image->name);
	r = clear_immutable(fd, &flags);
	if (r < 0)
		return log_errno(r, "make the immutable image '%s' removable", image->name);
	if (unlinkat(pool_fd, path_last(image->path), 0) < 0) {
		r = -errno;
		restore_flags(fd, flags);
		return log_errno(r, "remove %s", image->path);
	}
	remove_settings(image, pool_fd);
	return 0;
}

int image_remove(const struct image *image)
{
	auto_image_lock struct image_lock lock = IMAGE_LOCK_NONE;
	autoclose int pool_fd = -1;
	int r;

	if (image->vendor)
		return refuse_vendor(image);
	r = lock_for_removal(image, &lock);
	if (r < 0)
		return r;
	pool_fd = open_pool(image);
	if (pool_fd < 0)
		return log_errno(pool_fd, "open the folder of '%s'", image->path);
	if (image->link)
		return remove_link(image, pool_fd);
	if (image->kind == IMAGE_RAW)
		return remove_file(image, pool_fd);
	r = refuse_mounts(image);
	if (r < 0)
		return r;
	return remove_directory(image, pool_fd, &lock);
}
