// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checks each directory from an image up to "/" for whether an unprivileged user may pass. Must
 * never change the mode of a directory other than the standard pool. Parent side of clone() only.
 */
#include "image/exposure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/image.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

#define POOL_MODE 0700

/* With an ACL the bits of the group are its mask, and stand for users and groups that it names. */
static bool group_is_root_alone(const char *path, const struct stat *st)
{
	return st->st_gid == 0 && getxattr(path, "system.posix_acl_access", NULL, 0) < 0;
}

/* 1 when somebody other than root may pass through the directory; its owner may always. */
static int lets_others_in(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (st.st_uid != 0 || (st.st_mode & 0001))
		return 1;
	return (st.st_mode & 0010) && !group_is_root_alone(path, &st);
}

/* Where the file system is mounted so, setuid bits mean nothing outside. */
static bool ignores_setuid(const char *directory)
{
	struct statvfs fs;

	return statvfs(directory, &fs) == 0 && (fs.f_flag & ST_NOSUID);
}

static char *parent_of(const char *path)
{
	size_t length = (size_t)(path_last(path) - path);

	while (length > 1 && path[length - 1] == '/')
		length--;
	return strndup(path, length);
}

int image_is_exposed(const char *folder)
{
	autofree char *at = strdup(folder);
	int r;

	/* From the bottom up: usually the pool itself is closed. */
	while (at) {
		char *above;

		r = lets_others_in(at);
		if (r <= 0)
			return r;
		if (!at[1])
			return !ignores_setuid(folder);
		above = parent_of(at);
		free(at);
		at = above;
	}
	return -ENOMEM;
}

/* Don't follow a link: its target may hold more than images. */
static int close_pool(void)
{
	autoclose int fd = open(IMAGE_POOL, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != 0)
		return -EPERM;
	return fchmod(fd, POOL_MODE) < 0 ? -errno : 0;
}

static void close_or_warn(const char *folder, const char *what)
{
	if (streq(folder, IMAGE_POOL) && close_pool() == 0) {
		log_warning(IMAGE_POOL " was open to users of this host, who could have run setuid "
				       "files of images as root; its mode is 0700 now");
		log_hint("to show files of an image to others, mount it elsewhere with nosuid");
		return;
	}
	log_warning("users of this host can enter %s: a setuid file that is left there by root "
		    "inside a machine, or came with its archive, makes them root of the host",
		    what);
	/* No command: only who keeps it knows what else lies there, and what has to get at it. */
	log_hint("keep machines where only root can go, as in " IMAGE_POOL
		 " or another folder of mode 0700, or on a file system mounted with nosuid");
}

void image_protect_pool(const char *pool)
{
	autofree char *real = realpath(pool, NULL);

	/* What can't be looked at is a fault that shows where it matters. */
	if (real && image_is_exposed(real) > 0)
		close_or_warn(real, pool);
}

void image_protect_tree(const char *tree)
{
	autofree char *real = realpath(tree, NULL), *folder = NULL;

	if (!real || !real[1])
		return;
	folder = parent_of(real);
	/* The tree may be a mount of its own, with flags of its own. */
	if (folder && image_is_exposed(folder) > 0 && !ignores_setuid(real))
		close_or_warn(folder, real);
}
