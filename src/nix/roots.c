// SPDX-License-Identifier: LGPL-2.1-or-later
/* Makes and removes the roots of machines. Caller's side of clone(). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/name.h"
#include "lib/fs.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/links.h"
#include "nix/names.h"
#include "nix/nix.h"

#define BOOTED "booted"
/* Followed by the name of a system that a running machine was switched to. */
#define SWITCHED "switched-"

int link_read_at(int dir_fd, const char *name, char **ret)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	*ret = strdup(target);
	return *ret ? 0 : -ENOMEM;
}

int link_replace_at(int dir_fd, const char *name, const char *target)
{
	autofree char *temporary = str_printf(".redd-%s", name);

	if (!temporary)
		return -ENOMEM;
	/* Left by a writer that was killed. */
	if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	if (symlinkat(target, dir_fd, temporary) < 0)
		return -errno;
	if (renameat(dir_fd, temporary, dir_fd, name) < 0) {
		int r = -errno;

		(void)unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return fsync(dir_fd) < 0 && errno != EINVAL ? -errno : 0;
}

static int open_roots(const char *machine, int *ret_fd)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s", machine);

	if (!machine_name_is_valid(machine))
		return -EINVAL;
	if (!path)
		return -ENOMEM;
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? -errno : 0;
}

int nix_root_make_folder(const char *machine)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s", machine);
	int r = path ? fs_make_dirs(path, 0755) : -ENOMEM;

	return r < 0 && r != -EEXIST ? log_errno(r, "make the folder " NIX_ROOTS_DIR "/%s", machine)
				     : 0;
}

int nix_root_read(const char *machine, char **ret_store_path)
{
	autoclose int fd = -1;
	int r = open_roots(machine, &fd);

	return r < 0 ? r : link_read_at(fd, BOOTED, ret_store_path);
}

/* No lock: the profile pins the path as well, so a collection that runs now can't take it. */
static int make_root(const char *machine, const char *link, const char *store_path)
{
	autoclose int fd = -1;
	int r;

	if (!machine_name_is_valid(machine))
		return log_error(-EINVAL, "'%s' is not a valid machine name", machine);
	r = nix_root_make_folder(machine);
	if (r < 0)
		return r;
	r = open_roots(machine, &fd);
	if (r >= 0)
		r = link_replace_at(fd, link, store_path);
	if (r < 0)
		return log_errno(r, "keep %s for machine '%s'", store_path, machine);
	if (faccessat(AT_FDCWD, store_path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return log_errno(-errno, "find the system %s of machine '%s'", store_path, machine);
	return 0;
}

/* Removes the roots of earlier runs. Ignores errors: a root that stays only wastes space. */
static void forget_switched(const char *machine)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s", machine);
	DIR *dir = path ? opendir(path) : NULL;
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (str_after_prefix(entry->d_name, SWITCHED))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
}

int nix_root_booted(const char *machine, const char *store_path)
{
	int r;

	if (!nix_name_of_path(store_path))
		return log_error(-EINVAL, "'%s' is no store path", store_path);
	r = make_root(machine, BOOTED, store_path);
	if (r >= 0)
		forget_switched(machine);
	return r;
}

int nix_root_switched(const char *machine, const char *store_path)
{
	const char *name = nix_name_of_path(store_path);
	autofree char *link = str_printf(SWITCHED "%s", name ? name : "");

	if (!name)
		return log_error(-EINVAL, "'%s' is no store path", store_path);
	return link ? make_root(machine, link, store_path) : log_oom();
}

static int remove_folder(const char *base, const char *machine)
{
	autoclose int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fs_remove_tree_at(fd, machine);

	return r < 0 && r != -ENOENT ? log_errno(r, "remove %s/%s", base, machine) : 0;
}

int nix_forget(const char *machine)
{
	autoclose int fd = -1;
	int r = open_roots(machine, &fd);

	/*
	 * A profile without our mark is not ours. The mark is removed last, so that the call can be
	 * repeated after a kill.
	 */
	if (r == -ENOENT || r == -EINVAL)
		return 0;
	if (r < 0)
		return log_errno(r, "open the roots of machine '%s'", machine);
	r = remove_folder(NIX_PROFILES_DIR, machine);
	return r < 0 ? r : remove_folder(NIX_ROOTS_DIR, machine);
}
