/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk over a tree of files. Must never trust that ".." leads back to where it came from: the
 * tree may belong to somebody who moves directories meanwhile. Parent side of clone() only.
 */
#include "lib/tree_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/str.h"

/* Directories nearer to the top than this stay open; deeper ones are opened anew by "..". */
#define LEVELS_KEPT_OPEN 48

struct level {
	char *name;
	dev_t dev;
	ino_t ino;
	long position; /* where to read on, when `dir` had to be closed */
	DIR *dir;
};

struct walk {
	const struct tree_visitor *visitor;
	void *userdata;
	int base_fd;
	struct level *levels;
	size_t depth;
	size_t capacity;
};

static void close_dir(struct level *level)
{
	if (level->dir)
		(void)closedir(level->dir);
	level->dir = NULL;
}

static void drop_top(struct walk *walk)
{
	struct level *top = &walk->levels[--walk->depth];

	close_dir(top);
	free(top->name);
}

static void walk_done(struct walk *walk)
{
	while (walk->depth > 0)
		drop_top(walk);
	free(walk->levels);
}

static struct level *top_of(struct walk *walk)
{
	return walk->depth > 0 ? &walk->levels[walk->depth - 1] : NULL;
}

static int top_fd(struct walk *walk)
{
	struct level *top = top_of(walk);

	return top ? dirfd(top->dir) : walk->base_fd;
}

static int grow(struct walk *walk)
{
	size_t capacity = walk->capacity ? 2 * walk->capacity : 32;
	struct level *levels;

	if (walk->depth < walk->capacity)
		return 0;
	levels = reallocarray(walk->levels, capacity, sizeof(*levels));
	if (!levels)
		return -ENOMEM;
	walk->levels = levels;
	walk->capacity = capacity;
	return 0;
}

/* Puts the open directory on top; takes the descriptor. */
static int push(struct walk *walk, const char *name, int dir_fd)
{
	autoclose int fd = dir_fd;
	struct level level = {}, *below;
	struct stat st;
	int r = grow(walk);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	level.dev = st.st_dev;
	level.ino = st.st_ino;
	level.name = strdup(name);
	if (!level.name)
		return -ENOMEM;
	level.dir = fdopendir(fd);
	if (!level.dir) {
		r = -errno;
		free(level.name);
		return r;
	}
	(void)take_fd(&fd);
	below = top_of(walk);
	if (below && walk->depth > LEVELS_KEPT_OPEN) {
		below->position = telldir(below->dir);
		close_dir(below);
	}
	walk->levels[walk->depth++] = level;
	return 0;
}

static int enter(struct walk *walk, const char *name)
{
	int fd = -1;
	int r = walk->visitor->enter(walk->userdata, top_fd(walk), name, &fd);

	return r <= 0 ? r : push(walk, name, fd);
}

/* Opens the directory below the top again, through the top's "..". */
static int reopen_below(struct walk *walk)
{
	struct level *top = top_of(walk), *below = top - 1;
	autoclose int fd = openat(dirfd(top->dir), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != below->dev || st.st_ino != below->ino)
		return -ESTALE;
	below->dir = fdopendir(fd);
	if (!below->dir)
		return -errno;
	(void)take_fd(&fd);
	seekdir(below->dir, below->position);
	return 0;
}

static int leave(struct walk *walk)
{
	autofree char *name = NULL;
	int r = 0;

	if (walk->depth > 1 && !walk->levels[walk->depth - 2].dir)
		r = reopen_below(walk);
	if (r < 0)
		return r;
	name = take_ptr(top_of(walk)->name);
	drop_top(walk);
	if (walk->visitor->leave)
		r = walk->visitor->leave(walk->userdata, top_fd(walk), name);
	return r > 0 ? enter(walk, name) : r;
}

/* 1 for a directory, 0 for anything else. */
static int is_directory(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISDIR(st.st_mode);
}

static int visit(struct walk *walk, const struct dirent *entry)
{
	int r;

	if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
		return 0;
	r = is_directory(top_fd(walk), entry);
	if (r < 0)
		return r;
	if (r > 0)
		return enter(walk, entry->d_name);
	return walk->visitor->file(walk->userdata, top_fd(walk), entry->d_name);
}

int tree_walk(int dirfd, const char *name, const struct tree_visitor *visitor, void *userdata)
{
	autocall(walk_done) struct walk walk = {
		.visitor = visitor, .userdata = userdata, .base_fd = dirfd};
	int r = enter(&walk, name);

	while (r >= 0 && walk.depth > 0) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(top_of(&walk)->dir);
		if (!entry && errno != 0)
			return -errno;
		r = entry ? visit(&walk, entry) : leave(&walk);
	}
	return r;
}
