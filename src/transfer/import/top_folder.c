/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strips a lone top-level folder by moving its entries up. Must never replace anything. Renaming
 * the folder itself would not work in a btrfs subvolume, whose root cannot be replaced. Runs in the
 * worker.
 */
#include "transfer/import/top_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/cleanup.h"
#include "lib/macro.h"
#include "lib/str.h"

/* Unlikely to be in any archive. A clash is an error; nothing is lost. */
#define STRIP_NAME ".#lift-5b1c9e07"

static const char *const system_parts[] = {
	"bin",	 "boot",   "dev",   "etc", "gnu", "home", "lib",  "lib32",
	"lib64", "libx32", "media", "mnt", "nix", "opt",  "proc", "root",
	"run",	 "sbin",   "srv",   "sys", "tmp", "usr",  "var",
};

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static int dir_open(int root_fd, const char *name, DIR **ret)
{
	autoclose int fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	*ret = dir;
	return 0;
}

/* NULL at the end (*ret_error 0) or on error. */
static const char *dir_next(DIR *dir, int *ret_error)
{
	const struct dirent *de;

	do {
		errno = 0;
		de = readdir(dir);
	} while (de && (streq(de->d_name, ".") || streq(de->d_name, "..")));
	*ret_error = de ? 0 : -errno;
	return de ? de->d_name : NULL;
}

static bool is_system_part(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_parts); i++)
		if (streq(name, system_parts[i]))
			return true;
	return false;
}

int top_folder_find(int root_fd, char **ret_name)
{
	autocall(cleanup_dir) DIR *dir = NULL;
	autofree char *name = NULL;
	const char *first;
	struct stat st;
	int r = dir_open(root_fd, ".", &dir);

	if (r < 0)
		return r;
	first = dir_next(dir, &r);
	if (!first || is_system_part(first))
		return r;
	name = strdup(first);
	if (!name)
		return -ENOMEM;
	if (dir_next(dir, &r) || r < 0)
		return r;
	if (fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return 0;
	*ret_name = take_ptr(name);
	return 1;
}

int top_folder_strip(int root_fd, const char *name)
{
	autocall(cleanup_dir) DIR *dir = NULL;
	const char *child;
	bool moved;
	/* Rename it first: the folder may contain an entry of its own name. */
	int r = sys_renameat2(root_fd, name, root_fd, STRIP_NAME, RENAME_NOREPLACE);

	if (r == 0)
		r = dir_open(root_fd, STRIP_NAME, &dir);
	if (r < 0)
		return r;
	/* Moving entries while reading the directory may skip some: repeat until it is empty. */
	do {
		moved = false;
		rewinddir(dir);
		while ((child = dir_next(dir, &r))) {
			r = sys_renameat2(dirfd(dir), child, root_fd, child, RENAME_NOREPLACE);
			if (r < 0)
				return r;
			moved = true;
		}
	} while (moved && r == 0);
	if (r < 0)
		return r;
	return unlinkat(root_fd, STRIP_NAME, AT_REMOVEDIR) < 0 ? -errno : 0;
}
