/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds places below the root of the tree. Must never resolve a path of several components except
 * by openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. The descriptor of the last parent is
 * kept, because archives list the files of a directory together. Runs in the worker.
 */
#include "transfer/import/destination.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/cleanup.h"

#define RESOLVE_IN_TREE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define MAKE_DIR_TRIES 3

void destination_init(struct destination *to, int root_fd)
{
	*to = (struct destination){.root_fd = root_fd, .parent_fd = -1};
}

static void destination_forget_parent(struct destination *to)
{
	if (to->parent_fd >= 0)
		(void)close(to->parent_fd);
	to->parent_fd = -1;
}

void destination_done(struct destination *to)
{
	destination_forget_parent(to);
}

int destination_open(const struct destination *to, const char *name, int flags)
{
	return sys_openat2(to->root_fd, name[0] ? name : ".",
			   (uint64_t)(unsigned)(flags | O_CLOEXEC), 0, RESOLVE_IN_TREE);
}

/* Opens one component below a directory; creates it if it is missing. */
static int destination_step(struct destination *to, int dir_fd, const char *name)
{
	for (unsigned i = 0; i < MAKE_DIR_TRIES; i++) {
		int fd = sys_openat2(dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
				     RESOLVE_IN_TREE);

		if (fd != -ENOENT)
			return fd;
		if (mkdirat(dir_fd, name, 0755) == 0)
			to->made++;
		else if (errno != EEXIST)
			return -errno;
	}
	return -ENOENT;
}

/* Creates the missing parents of a path, one by one. Changes `path` meanwhile. */
static int destination_make_parents(struct destination *to, char *path)
{
	autoclose int fd = destination_open(to, "", O_PATH | O_DIRECTORY);
	char *part = path;

	while (fd >= 0 && part) {
		char *slash = strchr(part, '/');
		int next;

		if (slash)
			*slash = '\0';
		next = destination_step(to, fd, part);
		if (slash)
			*slash++ = '/';
		(void)close(fd);
		fd = next;
		part = slash;
	}
	return take_fd(&fd);
}

int destination_locate(struct destination *to, const char *name, struct place *ret)
{
	size_t length = entry_parent_length(name);
	int fd;

	if (length == 0) {
		*ret = (struct place){to->root_fd, name};
		return 0;
	}
	if (to->parent_fd < 0 || strncmp(to->parent, name, length) != 0 || to->parent[length]) {
		destination_forget_parent(to);
		memcpy(to->parent, name, length);
		to->parent[length] = '\0';
		fd = destination_open(to, to->parent, O_PATH | O_DIRECTORY);
		if (fd == -ENOENT)
			fd = destination_make_parents(to, to->parent);
		if (fd < 0)
			return fd;
		to->parent_fd = fd;
	}
	*ret = (struct place){to->parent_fd, name + length + 1};
	return 0;
}

int destination_clear(struct destination *to, const char *name, const struct place *place,
		      uint64_t *ret_ino)
{
	struct stat st;

	if (fstatat(place->dir_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (unlinkat(place->dir_fd, place->name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
		return errno == ENOTEMPTY ? -EEXIST : -errno;
	*ret_ino = S_ISDIR(st.st_mode) || st.st_nlink == 1 ? st.st_ino : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	/* Close the removed directory: later entries must not be created in it. */
	if (to->parent_fd >= 0 && entry_is_below(to->parent, name) &&
	    place->dir_fd != to->parent_fd)
		destination_forget_parent(to);
	return 0;
}

int destination_link(const struct destination *to, const char *target, const struct place *place)
{
	size_t length = entry_parent_length(target);
	char parent[ENTRY_NAME_SIZE];
	autoclose int fd = -1;

	memcpy(parent, target, length);
	parent[length] = '\0';
	fd = destination_open(to, parent, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return fd;
	if (linkat(fd, target + (length ? length + 1 : 0), place->dir_fd, place->name, 0) < 0)
		return -errno;
	return 0;
}
