/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Measuring trees and making directories of the host. Must never be given a path chosen by a
 * guest: those go through lib/path.h. Parent side of clone() only.
 */
#include "lib/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/cleanup.h"
#include "lib/path.h"
#include "lib/tree_walk.h"

/* The bytes of one block of st_blocks, whatever the file system's own block size (stat(2)). */
#define STAT_BLOCK_SIZE 512

struct inode_key {
	dev_t dev;
	ino_t ino; /* 0: an empty slot; no file system uses it */
};

/* Inodes with several links that were counted already: open addressing, a power of two of slots. */
struct usage {
	uint64_t blocks;
	struct inode_key *seen;
	size_t used;
	size_t slots;
};

static struct inode_key *find_slot(const struct usage *usage, struct inode_key key)
{
	uint64_t hash = (key.ino ^ (uint64_t)key.dev << 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 17) & (usage->slots - 1);

	while (usage->seen[i].ino != 0 &&
	       (usage->seen[i].ino != key.ino || usage->seen[i].dev != key.dev))
		i = (i + 1) & (usage->slots - 1);
	return &usage->seen[i];
}

static int grow_seen(struct usage *usage)
{
	struct usage grown = {.slots = usage->slots ? 2 * usage->slots : 1024};

	if (2 * usage->used < usage->slots)
		return 0;
	grown.seen = calloc(grown.slots, sizeof(*grown.seen));
	if (!grown.seen)
		return -ENOMEM;
	for (size_t i = 0; i < usage->slots; i++)
		if (usage->seen[i].ino != 0)
			*find_slot(&grown, usage->seen[i]) = usage->seen[i];
	free(usage->seen);
	usage->seen = grown.seen;
	usage->slots = grown.slots;
	return 0;
}

static int count_stat(struct usage *usage, const struct stat *st)
{
	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode)) {
		struct inode_key key = {.dev = st->st_dev, .ino = st->st_ino}, *slot;
		int r = grow_seen(usage);

		if (r < 0)
			return r;
		slot = find_slot(usage, key);
		if (slot->ino != 0)
			return 0;
		*slot = key;
		usage->used++;
	}
	usage->blocks += (uint64_t)st->st_blocks;
	return 0;
}

static int count_file(void *userdata, int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return count_stat(userdata, &st);
}

static int count_dir(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	autoclose int fd =
		sys_openat2(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0,
			    RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	struct stat st;
	int r;

	/* Another mount is not this tree's, and a live tree may lose a directory meanwhile. */
	if (fd == -EXDEV || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = count_stat(userdata, &st);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 1;
}

int fs_usage_at(int dirfd, const char *name, uint64_t *ret_bytes)
{
	static const struct tree_visitor visitor = {count_dir, count_file, NULL};
	autoclose int top = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct usage usage = {};
	struct stat st;
	int r;

	if (top < 0 || fstat(top, &st) < 0)
		return -errno;
	/* From the directory itself, so that a tree that is a mount of its own is measured too. */
	r = S_ISDIR(st.st_mode) ? tree_walk(top, ".", &visitor, &usage) : count_stat(&usage, &st);
	free(usage.seen);
	if (r < 0)
		return r;
	*ret_bytes = usage.blocks * STAT_BLOCK_SIZE;
	return 0;
}

static int make_one_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		/* The umask is the user's taste, the mode our contract. */
		return chmod(path, mode) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_make_dirs(const char *path, unsigned mode)
{
	autofree char *walked = path_simplify(path);
	int r;

	if (!walked)
		return -ENOMEM;
	if (!*walked)
		return -ENOENT;
	/* What is usual: only the last is missing, or none. */
	r = make_one_dir(walked, (mode_t)mode);
	if (r != -ENOENT)
		return r;
	for (char *slash = strchr(walked + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = make_one_dir(walked, 0755);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return make_one_dir(walked, (mode_t)mode);
}

int fs_open_private_dir(const char *path, unsigned mode)
{
	autoclose int fd = -1;
	struct stat st;
	int r = fs_make_dirs(path, mode);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 0022) != 0)
		return -EPERM;
	return take_fd(&fd);
}
