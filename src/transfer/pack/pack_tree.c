// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Builds the tree that is to be packed. Must never follow a link below a given path. Runs in the
 * packing process. Loud.
 */
#include "transfer/pack/pack_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

#define FOLDER_MODE 0755
#define TEXT_MODE 0644
#define LINK_MODE 0777
/* Depth of an added folder: each level keeps a descriptor open. */
#define DEPTH_MAX 256

static void node_free(struct pack_node *node)
{
	for (size_t i = 0; i < node->count; i++) {
		node_free(node->children[i]);
		free(node->children[i]);
	}
	free(node->children);
	free(node->name);
	free(node->text);
	*node = (struct pack_node){};
}

struct pack_tree *pack_tree_new(void)
{
	struct pack_tree *tree = calloc(1, sizeof(*tree));

	if (tree)
		tree->root.mode = FOLDER_MODE;
	return tree;
}

void pack_tree_free(struct pack_tree *tree)
{
	node_free(&tree->root);
	free(tree);
}

/* The index of the name, or the one where it would be inserted. */
static size_t find_child(const struct pack_node *folder, const char *name, bool *ret_found)
{
	size_t low = 0, high = folder->count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = strcmp(folder->children[middle]->name, name);

		if (r == 0) {
			*ret_found = true;
			return middle;
		}
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The child of that name; creates it as a folder if missing. NULL if memory runs out. */
static struct pack_node *get_child(struct pack_node *folder, const char *name)
{
	struct pack_node **grown, *child;
	bool found;
	size_t at = find_child(folder, name, &found);

	if (found)
		return folder->children[at];
	child = calloc(1, sizeof(*child));
	grown = reallocarray(folder->children, folder->count + 1, sizeof(struct pack_node *));
	if (grown)
		folder->children = grown;
	if (child)
		child->name = strdup(name);
	if (!grown || !child || !child->name) {
		free(child);
		return NULL;
	}
	child->mode = FOLDER_MODE;
	memmove(grown + at + 1, grown + at, (folder->count - at) * sizeof(struct pack_node *));
	grown[at] = child;
	folder->count++;
	return child;
}

/* Finds or creates the node of a path below `folder`. Its parents must be folders. */
static int get_node(struct pack_node *folder, const char *target, struct pack_node **ret)
{
	autostrv char **parts = NULL;
	struct pack_node *node = folder;
	int r = strv_split(target, "/", &parts);

	if (r < 0)
		return r;
	for (char **part = parts; part && *part; part++) {
		if (streq(*part, "."))
			continue;
		if (streq(*part, "..") || strlen(*part) > NAME_MAX)
			return -EINVAL;
		if (node->kind != PACK_FOLDER)
			return -ENOTDIR;
		node = get_child(node, *part);
		if (!node)
			return -ENOMEM;
	}
	*ret = node;
	return node == folder ? -EINVAL : 0;
}

/* Turns the node into another kind of file. Drops its children. */
static int set_node(struct pack_node *node, enum pack_kind kind, mode_t mode, const char *text)
{
	char *copy = strdup(text), *name = take_ptr(node->name);

	node_free(node);
	*node = (struct pack_node){.name = name, .kind = kind, .mode = mode, .text = copy};
	return copy ? 0 : -ENOMEM;
}

static int said(int r, const char *target)
{
	if (r == -EINVAL)
		return log_error(r, "'%s' is no place in an archive", target);
	return r < 0 ? log_errno(r, "put '%s' into the archive", target) : 0;
}

static int add(struct pack_tree *tree, const char *target, enum pack_kind kind, mode_t mode,
	       const char *text)
{
	struct pack_node *node;
	int r = get_node(&tree->root, target, &node);

	if (r == 0)
		r = set_node(node, kind, mode, text);
	return said(r, target);
}

int pack_tree_add_folder(struct pack_tree *tree, const char *target)
{
	struct pack_node *node;
	int r = get_node(&tree->root, target, &node);

	return said(r == 0 && node->kind != PACK_FOLDER ? -ENOTDIR : r, target);
}

int pack_tree_add_text(struct pack_tree *tree, const char *target, const char *text)
{
	return add(tree, target, PACK_TEXT, TEXT_MODE, text);
}

int pack_tree_add_link(struct pack_tree *tree, const char *target, const char *to)
{
	return add(tree, target, PACK_LINK, LINK_MODE, to);
}

int pack_tree_add_store(struct pack_tree *tree, const char *target, const char *source)
{
	return add(tree, target, PACK_STORE, 0, source);
}

static int read_link(int dir_fd, const char *name, struct pack_node *node)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return set_node(node, PACK_LINK, LINK_MODE, target);
}

static int add_at(struct pack_node *node, int dir_fd, const char *name, const char *path,
		  unsigned depth);

static int add_entries(struct pack_node *node, DIR *dir, const char *path, unsigned depth)
{
	struct dirent *entry;
	int r = 0;

	while (r == 0 && (entry = readdir(dir))) {
		autofree char *below = str_printf("%s/%s", path, entry->d_name);
		struct pack_node *child;

		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		child = get_child(node, entry->d_name);
		if (!below || !child)
			return -ENOMEM;
		r = add_at(child, dirfd(dir), entry->d_name, below, depth + 1);
	}
	return r;
}

static int add_folder(struct pack_node *node, int dir_fd, const char *name, const char *path,
		      unsigned depth)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir;
	int r;

	if (fd < 0)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	r = add_entries(node, dir, path, depth);
	(void)closedir(dir);
	return r;
}

static int add_at(struct pack_node *node, int dir_fd, const char *name, const char *path,
		  unsigned depth)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return read_link(dir_fd, name, node);
	if (S_ISREG(st.st_mode))
		return set_node(node, PACK_HOST, st.st_mode & 07777, path);
	if (!S_ISDIR(st.st_mode))
		return -EBADF;
	if (node->kind != PACK_FOLDER) {
		int r = set_node(node, PACK_FOLDER, 0, "");

		if (r < 0)
			return r;
	}
	node->mode = st.st_mode & 07777;
	return add_folder(node, dir_fd, name, path, depth);
}

int pack_tree_add_host(struct pack_tree *tree, const char *target, const char *source)
{
	struct pack_node *node;
	int r = get_node(&tree->root, target, &node);

	if (r < 0)
		return said(r, target);
	r = add_at(node, AT_FDCWD, source, source, 0);
	if (r == -EBADF)
		return log_error(-EINVAL, "%s has something that is no file, folder or link",
				 source);
	return r < 0 ? log_errno(r, "add %s", source) : 0;
}
