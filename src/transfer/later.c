/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last steps in the tree. Must never follow a link: paths are opened anew, and one that is no
 * longer what it was (a later entry replaced it) is passed over. Runs in the worker.
 */
#include "transfer/later.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/str.h"
#include "transfer/lift.h"
#include "transfer/names.h"

static int later_grow(struct later *l)
{
	size_t capacity = l->capacity ? 2 * l->capacity : 256;
	struct later_item *grown;

	if (l->count < l->capacity)
		return 0;
	grown = reallocarray(l->items, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->items = grown;
	l->capacity = capacity;
	return 0;
}

static int later_add(struct later *l, const char *path, struct meta *meta, struct later_item item)
{
	int r = later_grow(l);

	if (r < 0)
		return r;
	item.path = strdup(path);
	if (!item.path)
		return -ENOMEM;
	meta_move(meta, &item.meta);
	l->has_names = l->has_names || meta_has_names(&item.meta);
	l->items[l->count++] = item;
	return 0;
}

int later_add_directory(struct later *l, const char *path, struct meta *meta, bool fresh)
{
	return later_add(l, path, meta, (struct later_item){.directory = true, .fresh = fresh});
}

int later_add_file(struct later *l, const char *path, struct meta *meta)
{
	l->has_files = true;
	return later_add(l, path, meta, (struct later_item){});
}

void later_forget_file(struct later *l, const char *path)
{
	for (size_t i = 0; l->has_files && i < l->count; i++) {
		struct later_item *item = &l->items[i];

		if (item->directory || !streq(item->path, path))
			continue;
		meta_done(&item->meta);
		item->meta.flags = 0;
	}
}

void later_done(struct later *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].path);
		meta_done(&l->items[i].meta);
	}
	free(l->items);
	*l = (struct later){};
}

static bool was_replaced(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP;
}

/* -ENOENT when something else has the name now: opening a device could do harm. */
static int later_open(const struct later_item *item, const struct tree *t, const char *path)
{
	autoclose int found = tree_open(t, path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (found < 0)
		return found;
	if (fstat(found, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != (item->directory ? S_IFDIR : S_IFREG))
		return -ENOENT;
	return tree_open(t, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

static int later_apply_names(const struct later_item *item, const struct tree *t,
			     struct transfer_stats *stats)
{
	autoclose int fd = later_open(item, t, item->path);

	if (fd < 0)
		return was_replaced(fd) ? 0 : fd;
	return meta_apply_xattrs(&item->meta, fd, stats);
}

/* The names in ACLs are those of the image, whose root `lone` may be. */
static int later_resolve_names(struct later *l, const struct tree *t, const char *lone,
			       struct transfer_stats *stats, const char **ret_path)
{
	autocall(names_done) struct names_pair names = {};
	autoclose int root = -1;
	int r;

	if (!l->has_names)
		return 0;
	root = tree_open(t, lone, O_PATH | O_DIRECTORY);
	r = root < 0 ? root : names_read(root, &names);
	for (size_t i = 0; r == 0 && i < l->count; i++) {
		struct later_item *item = &l->items[i];

		if (!meta_has_names(&item->meta))
			continue;
		*ret_path = item->path;
		r = meta_resolve(&item->meta, &names, item->path, stats);
		if (r == 0 && !item->directory)
			r = later_apply_names(item, t, stats);
	}
	return r;
}

static int later_apply_directory(const struct later_item *item, const struct tree *t,
				 struct transfer_stats *stats)
{
	autoclose int fd = tree_open(t, item->path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return was_replaced(fd) ? 0 : fd;
	return meta_apply_fd(&item->meta, fd, item->fresh, stats);
}

/*
 * The root of an image can always be entered and belongs to root, whatever its entry says: a tree
 * that only its unpacker could open again would be no image.
 */
static int later_apply_root(const struct meta *meta, const struct tree *t,
			    struct transfer_stats *stats)
{
	autoclose int fd = tree_open(t, "", O_RDONLY | O_DIRECTORY);
	struct meta root = *meta;

	if (fd < 0)
		return fd;
	root.mode = (meta->mode & 0500) == 0500 ? (meta->mode & 0755) | 0555 : 0755;
	root.uid = 0;
	root.gid = 0;
	return meta_apply_fd(&root, fd, false, stats);
}

static int later_apply_item_flags(const struct later_item *item, const char *lifted,
				  const struct tree *t, struct transfer_stats *stats)
{
	const char *path = item->path;
	autoclose int fd = -1;

	if (lifted && entry_is_below(path, lifted))
		path += strlen(lifted) + (path[strlen(lifted)] == '/');
	/* An immutable root is how read-only images are marked; --read-only asks for that. */
	if (path[0] == '\0')
		return 0;
	fd = later_open(item, t, path);
	if (fd < 0)
		return was_replaced(fd) ? 0 : fd;
	return meta_apply_flags(item->meta.flags, fd, stats);
}

static int later_apply_flags(struct later *l, const char *lifted, struct tree *t,
			     struct transfer_stats *stats, const char **ret_path)
{
	for (size_t i = 0; i < l->count; i++) {
		int r;

		if (l->items[i].meta.flags == 0)
			continue;
		r = later_apply_item_flags(&l->items[i], lifted, t, stats);
		if (r < 0) {
			*ret_path = l->items[i].path;
			return r;
		}
	}
	return 0;
}

static int later_apply_directories(struct later *l, const struct tree *t, const char *lone,
				   struct transfer_stats *stats, const char **ret_path)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		const struct later_item *item = &l->items[i];

		if (!item->directory || !item->path[0] || streq(item->path, lone))
			continue;
		*ret_path = item->path;
		r = later_apply_directory(item, t, stats);
	}
	return r;
}

static const struct meta *later_find_root(const struct later *l, const char *lone)
{
	for (size_t i = l->count; i > 0; i--)
		if (l->items[i - 1].directory && streq(l->items[i - 1].path, lone))
			return &l->items[i - 1].meta;
	return NULL;
}

int later_apply(struct later *l, struct tree *t, struct transfer_stats *stats,
		const char **ret_path)
{
	autofree char *lone = NULL;
	const char *top;
	const struct meta *root;
	int r = lift_find(t->root_fd, &lone);

	*ret_path = "";
	top = lone ? lone : "";
	if (r >= 0)
		r = later_resolve_names(l, t, top, stats, ret_path);
	if (r >= 0)
		r = later_apply_directories(l, t, top, stats, ret_path);
	if (r >= 0 && lone) {
		*ret_path = lone;
		r = lift_up(t->root_fd, lone);
	}
	root = later_find_root(l, top);
	if (r >= 0 && root)
		r = later_apply_root(root, t, stats);
	return r < 0 ? r : later_apply_flags(l, lone, t, stats, ret_path);
}
