/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resolving and making paths beneath an image. Must never resolve more than one component without
 * openat2(2), and never make anything behind a link that leads nowhere: the guest chose where the
 * link points. Parent side of clone() only.
 */
#include "lib/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/cleanup.h"
#include "lib/io.h"

/* openat2() says EAGAIN when any rename on the system raced with a ".."; a guest can keep that up.
 */
#define RESOLVE_RETRIES 128

static int open_resolved(int dir_fd, const char *path, int flags, uint64_t resolve)
{
	uint64_t mode = flags & O_CREAT ? 0644 : 0;
	int fd = -EAGAIN;

	flags |= O_CLOEXEC;
	/* With O_PATH openat2() refuses every flag that would have no effect. */
	if (!(flags & O_PATH))
		flags |= O_NOCTTY;
	for (int i = 0; fd == -EAGAIN && i < RESOLVE_RETRIES; i++)
		fd = sys_openat2(dir_fd, path, (uint32_t)flags, mode, resolve);
	return fd;
}

int path_open_in_root(int root_fd, const char *path, int flags)
{
	return open_resolved(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static int open_for_making(int root_fd, const char *path, int flags, struct path_making how)
{
	return open_resolved(root_fd, path, flags,
			     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
				     (how.one_mount ? RESOLVE_NO_XDEV : 0));
}

int path_open_beneath(int dir_fd, const char *path, int flags)
{
	return open_resolved(dir_fd, path, flags,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int path_read_in_root(int root_fd, const char *path, size_t max, char **ret, size_t *ret_size)
{
	autoclose int found = path_open_in_root(root_fd, path, O_PATH);
	autoclose int fd = -1;
	char self[32];
	struct stat st;

	if (found < 0)
		return found;
	/* Opening a device of the image could already do harm: look first, then open that very
	 * file. */
	if (fstat(found, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADFD;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	return io_read_fd(fd, max, ret, ret_size);
}

/*
 * Gives a directory or file just made its mode (the umask took some) and owner. Somebody in the
 * image may have put another one in its place, so one that isn't ours is left alone.
 */
static int settle_new(int fd, mode_t mode, struct path_making how)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return -EEXIST;
	if ((st.st_mode & 0777) != mode && fchmod(fd, mode | (st.st_mode & S_ISGID)) < 0)
		return -errno;
	if ((st.st_uid != how.uid || st.st_gid != how.gid) && fchown(fd, how.uid, how.gid) < 0)
		return -errno;
	return 0;
}

static int make_dir(int parent_fd, const char *name, struct path_making how)
{
	autoclose int fd = -1;

	if (mkdirat(parent_fd, name, 0755) < 0)
		return -errno;
	fd = path_open_beneath(parent_fd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	return settle_new(fd, 0755, how);
}

/* The directory `path`, whose last component is `name` in `parent_fd`; made when there is none. */
static int open_or_make_dir(int root_fd, const char *path, int parent_fd, const char *name,
			    struct path_making how)
{
	int fd = open_for_making(root_fd, path, O_PATH | O_DIRECTORY, how), r;

	if (fd != -ENOENT)
		return fd;
	r = make_dir(parent_fd, name, how);
	/* EEXIST: somebody was faster, or a link that leads nowhere, which then is -ENOENT again.
	 */
	if (r < 0 && r != -EEXIST)
		return r;
	return open_for_making(root_fd, path, O_PATH | O_DIRECTORY, how);
}

int path_make_dir_in_root(int root_fd, const char *path, struct path_making how)
{
	autofree char *walked = path_simplify(path);
	autoclose int parent = -1;
	char *name, *end;
	int fd;

	if (!walked)
		return -ENOMEM;
	fd = open_for_making(root_fd, walked, O_PATH | O_DIRECTORY, how);
	if (fd != -ENOENT || !*walked)
		return fd;
	parent = path_open_in_root(root_fd, "/", O_PATH | O_DIRECTORY);
	if (parent < 0)
		return parent;
	/* Each prefix is resolved anew from the root: only so do ".." and links mean what they say.
	 */
	for (name = walked + (*walked == '/');; name = end + 1) {
		end = strchr(name, '/');
		if (end)
			*end = '\0';
		fd = open_or_make_dir(root_fd, walked, parent, name, how);
		if (fd < 0 || !end)
			return fd;
		*end = '/';
		(void)close(parent);
		parent = fd;
	}
}

static int make_file(int root_fd, const char *path, struct path_making how)
{
	char *name;
	autoclose int parent = path_open_parent_in_root(root_fd, path, true, how, &name);
	autoclose int fd = -1;

	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
		    0644);
	if (fd < 0)
		return -errno;
	return settle_new(fd, 0644, how);
}

int path_make_file_in_root(int root_fd, const char *path, struct path_making how)
{
	autoclose int fd = open_for_making(root_fd, path, O_PATH, how);
	struct stat st;

	if (fd == -ENOENT) {
		int r = make_file(root_fd, path, how);

		if (r < 0 && r != -EEXIST)
			return r;
		fd = open_for_making(root_fd, path, O_PATH, how);
	}
	if (fd < 0)
		return take_fd(&fd);
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return take_fd(&fd);
}

int path_open_parent_in_root(int root_fd, const char *path, bool make_parents,
			     struct path_making how, char **ret_name)
{
	const char *name = path_last(path);
	autofree char *parent = NULL;
	int fd;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	parent = name > path ? strndup(path, (size_t)(name - path)) : strdup(".");
	if (!parent)
		return -ENOMEM;
	fd = make_parents ? path_make_dir_in_root(root_fd, parent, how)
			  : open_for_making(root_fd, parent, O_PATH | O_DIRECTORY, how);
	if (fd >= 0)
		*ret_name = (char *)name;
	return fd;
}
