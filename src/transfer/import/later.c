/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last steps in the tree. Must never follow a link: the tree is walked by descriptor, and what
 * is found there is looked up by its inode. Runs in the worker.
 */
#include "transfer/import/later.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/str.h"
#include "lib/tree.h"
#include "transfer/import/lift.h"
#include "transfer/import/names.h"

static int later_add(struct later *l, const char *path, struct meta *meta, struct pending_item item)
{
	int r;

	item.meta = *meta;
	if (meta_has_names(meta)) {
		item.path = strdup(path);
		if (!item.path)
			return -ENOMEM;
	}
	r = pending_put(&l->pending, &item);
	if (r < 0) {
		free(item.path);
		return r;
	}
	meta_forget(meta);
	return 0;
}

int later_add_directory(struct later *l, uint64_t ino, const char *path, struct meta *meta,
			bool fresh)
{
	return later_add(l, path, meta,
			 (struct pending_item){.ino = ino, .directory = true, .fresh = fresh});
}

int later_add_file(struct later *l, uint64_t ino, const char *path, struct meta *meta)
{
	return later_add(l, path, meta, (struct pending_item){.ino = ino});
}

void later_forget(struct later *l, uint64_t ino)
{
	pending_drop(&l->pending, ino);
}

void later_done(struct later *l)
{
	pending_done(&l->pending);
}

/* The names in ACLs are those of the image, whose root `lone` may be. */
static int later_resolve_names(struct later *l, const struct tree *t, const char *lone,
			       struct transfer_stats *stats)
{
	autocall(names_done) struct names_pair names = {};
	autoclose int root = -1;
	int r;

	if (l->pending.names == 0)
		return 0;
	root = tree_open(t, lone, O_PATH | O_DIRECTORY);
	r = root < 0 ? root : names_read(root, &names);
	for (size_t i = 0; r == 0 && i < l->pending.count; i++) {
		struct pending_item *item = &l->pending.items[i];

		if (meta_has_names(&item->meta))
			r = meta_resolve(&item->meta, &names, item->path, stats);
	}
	return r;
}

struct last_walk {
	struct later *later;
	struct transfer_stats *stats;
	uint64_t root_ino; /* the record that the root gets, under the number it had then */
	size_t found;	   /* directories with a record */
	bool below_root;
};

static void walk_note(struct last_walk *w, const char *name)
{
	(void)snprintf(w->later->at, sizeof(w->later->at), "%s", name);
}

/*
 * The root of an image can always be entered and belongs to root, whatever its entry says: a tree
 * that only its unpacker could open again would be no image. Its flags are left out: an immutable
 * root is how read-only images are marked; --read-only asks for that.
 */
static int apply_root(struct last_walk *w, int fd)
{
	struct pending *p = &w->later->pending;
	const struct pending_item *item = pending_find(p, w->root_ino);
	struct meta root;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (item) {
		root = item->meta;
		root.mode = (root.mode & 0500) == 0500 ? (root.mode & 0755) | 0555 : 0755;
		root.uid = 0;
		root.gid = 0;
		r = meta_apply_fd(&root, fd, false, w->stats);
	}
	/* With a lone folder both it and the root above it may have had an entry. */
	pending_drop(p, w->root_ino);
	pending_drop(p, st.st_ino);
	return r;
}

static int apply_directory(struct last_walk *w, int fd)
{
	const struct pending_item *item;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	item = pending_find(&w->later->pending, st.st_ino);
	if (!item || !item->directory)
		return 0;
	w->found++;
	r = meta_apply_fd(&item->meta, fd, item->fresh, w->stats);
	if (r == 0 && item->meta.flags != 0)
		r = meta_apply_flags(item->meta.flags, fd, w->stats);
	return r;
}

/*
 * On the way down: nothing is made or removed any more that would change a directory's times, and
 * O_NOATIME keeps the walk itself from doing so.
 */
static int walk_enter(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	struct last_walk *w = userdata;
	autoclose int fd =
		openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	bool is_root = !w->below_root;
	int r;

	w->below_root = true;
	walk_note(w, is_root ? "/" : name);
	if (fd < 0)
		return -errno;
	r = is_root ? apply_root(w, fd) : apply_directory(w, fd);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 1;
}

static int apply_file(struct last_walk *w, const struct pending_item *item, int dir_fd,
		      const char *name)
{
	autoclose int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	/* Not empty only where named ACLs became attributes. */
	r = item->path ? meta_apply_xattrs(&item->meta, fd, w->stats) : 0;
	if (r == 0 && item->meta.flags != 0)
		r = meta_apply_flags(item->meta.flags, fd, w->stats);
	return r;
}

static int walk_file(void *userdata, int dir_fd, const char *name)
{
	struct last_walk *w = userdata;
	struct pending *p = &w->later->pending;
	const struct pending_item *item;
	struct stat st;
	int r;

	if (p->files == 0)
		return 0;
	walk_note(w, name);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	item = S_ISREG(st.st_mode) ? pending_find(p, st.st_ino) : NULL;
	if (!item || item->directory)
		return 0;
	r = apply_file(w, item, dir_fd, name);
	/* Once for each inode: an immutable file takes no second time by another of its names. */
	pending_drop(p, st.st_ino);
	return r;
}

static int later_walk(struct later *l, const struct tree *t, uint64_t root_ino,
		      struct transfer_stats *stats)
{
	static const struct tree_visitor visitor = {walk_enter, walk_file, NULL};
	struct last_walk w = {.later = l, .stats = stats, .root_ino = root_ino};
	int r = l->pending.count > 0 ? tree_walk(t->root_fd, ".", &visitor, &w) : 0;

	if (r < 0)
		return r;
	/* An overlay of several file systems may number a directory anew: nothing is lost in
	 * silence. */
	walk_note(&w, "/");
	return w.found == l->pending.count ? 0 : -ESTALE;
}

int later_apply(struct later *l, const struct tree *t, struct transfer_stats *stats)
{
	autofree char *lone = NULL;
	struct stat st;
	int r = lift_find(t->root_fd, &lone);

	walk_note(&(struct last_walk){.later = l}, lone ? lone : "/");
	if (r < 0)
		return r;
	if (fstatat(t->root_fd, lone ? lone : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = later_resolve_names(l, t, lone ? lone : "", stats);
	if (r == 0 && lone)
		r = lift_up(t->root_fd, lone);
	return r < 0 ? r : later_walk(l, t, st.st_ino, stats);
}
