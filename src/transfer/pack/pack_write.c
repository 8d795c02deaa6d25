// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes a tree as entries of an archive, each folder sorted by name. Walks store paths by
 * descriptor, and must never follow a link there. Runs in the packing process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "transfer/pack/pack_tree.h"

#define STORE_FOLDER_MODE 0555
#define STORE_PROGRAM_MODE 0555
#define STORE_FILE_MODE 0444
/* Each level keeps a descriptor open. */
#define DEPTH_MAX 512

/* Keeps the name of the first entry that failed, for messages. Returns r. */
static int failed(struct pack_writer *w, const char *path, int r)
{
	if (r < 0 && !w->path)
		w->path = strdup(path);
	return r;
}

static int write_entry(struct pack_writer *w, const struct tar_entry *entry)
{
	stats_add(&w->stats->entries, 1);
	return failed(w, entry->name, tar_write_header(&w->tar, entry));
}

static int write_folder_entry(struct pack_writer *w, const char *path, mode_t mode)
{
	autofree char *name = str_printf("%s/", path);

	if (!name)
		return -ENOMEM;
	return write_entry(w, &(struct tar_entry){.type = TAR_FOLDER, .name = name, .mode = mode});
}

static int write_link_at(struct pack_writer *w, const char *path, int dir_fd, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return failed(w, path, -errno);
	target[n] = '\0';
	return write_entry(w,
			   &(struct tar_entry){
				   .type = TAR_LINK, .name = path, .target = target, .mode = 0777});
}

static int write_content(struct pack_writer *w, const struct tar_entry *entry, int fd)
{
	int r = write_entry(w, entry);

	if (r == 0)
		r = tar_write_fd(&w->tar, fd, entry->size);
	if (r == 0)
		r = tar_write_padding(&w->tar);
	stats_add(&w->stats->bytes_read, entry->size);
	return failed(w, entry->name, r);
}

/* With `mode` 0, the file gets the mode that it has in a store. */
static int write_file_at(struct pack_writer *w, const char *path, int dir_fd, const char *name,
			 mode_t mode)
{
	autoclose int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct tar_entry entry = {.type = TAR_FILE, .name = path, .mode = mode};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(w, path, -errno);
	if (!S_ISREG(st.st_mode))
		return failed(w, path, -EBADFD);
	if (mode == 0)
		entry.mode = st.st_mode & S_IXUSR ? STORE_PROGRAM_MODE : STORE_FILE_MODE;
	entry.size = (uint64_t)st.st_size;
	return write_content(w, &entry, fd);
}

static int compare_names(const void *a, const void *b)
{
	/* Skip the type, which is the first byte. */
	return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

/* Lists the names, each after a byte with its d_type + 1, which is never NUL. */
static int list_folder(DIR *dir, char ***ret, size_t *ret_count)
{
	autostrv char **names = NULL;
	size_t count = 0, capacity = 0;
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		if (count + 1 >= capacity) {
			char **grown;

			capacity = capacity ? 2 * capacity : 64;
			grown = reallocarray(names, capacity, sizeof(char *));
			if (!grown)
				return -ENOMEM;
			names = grown;
		}
		names[count] = str_printf("%c%s", (int)(entry->d_type + 1), entry->d_name);
		names[count + 1] = NULL;
		if (!names[count])
			return -ENOMEM;
		count++;
	}
	if (count > 0)
		qsort(names, count, sizeof(char *), compare_names);
	*ret = take_ptr(names);
	*ret_count = count;
	return 0;
}

static int write_store_at(struct pack_writer *w, const char *path, int dir_fd, const char *name,
			  unsigned type, unsigned depth);

static int write_store_folder(struct pack_writer *w, const char *path, int dir_fd, const char *name,
			      unsigned depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	autostrv char **names = NULL;
	size_t count = 0;
	int r;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return failed(w, path, r);
	}
	r = depth > DEPTH_MAX ? failed(w, path, -ELOOP)
			      : write_folder_entry(w, path, STORE_FOLDER_MODE);
	if (r == 0)
		r = failed(w, path, list_folder(dir, &names, &count));
	for (size_t i = 0; i < count && r == 0; i++) {
		autofree char *below = str_printf("%s/%s", path, names[i] + 1);

		r = below ? write_store_at(w, below, dirfd(dir), names[i] + 1,
					   (unsigned char)names[i][0] - 1U, depth + 1)
			  : -ENOMEM;
	}
	(void)closedir(dir);
	return r;
}

static int write_store_at(struct pack_writer *w, const char *path, int dir_fd, const char *name,
			  unsigned type, unsigned depth)
{
	struct stat st;

	if (type == DT_UNKNOWN) {
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return failed(w, path, -errno);
		type = IFTODT(st.st_mode);
	}
	if (type == DT_DIR)
		return write_store_folder(w, path, dir_fd, name, depth);
	if (type == DT_LNK)
		return write_link_at(w, path, dir_fd, name);
	return type == DT_REG ? write_file_at(w, path, dir_fd, name, 0) : failed(w, path, -EBADFD);
}

static int write_text(struct pack_writer *w, const char *path, const struct pack_node *node)
{
	struct tar_entry entry = {
		.type = TAR_FILE, .name = path, .mode = node->mode, .size = strlen(node->text)};
	int r = write_entry(w, &entry);

	if (r == 0)
		r = tar_write_data(&w->tar, node->text, (size_t)entry.size);
	if (r == 0)
		r = tar_write_padding(&w->tar);
	return failed(w, path, r);
}

static int write_children(struct pack_writer *w, const char *path, const struct pack_node *node);

static int write_node(struct pack_writer *w, const char *path, const struct pack_node *node)
{
	int r;

	switch (node->kind) {
	case PACK_TEXT:
		return write_text(w, path, node);
	case PACK_LINK:
		return write_entry(w, &(struct tar_entry){.type = TAR_LINK,
							  .name = path,
							  .target = node->text,
							  .mode = node->mode});
	case PACK_HOST:
		return write_file_at(w, path, AT_FDCWD, node->text, node->mode);
	case PACK_STORE:
		return write_store_at(w, path, AT_FDCWD, node->text, DT_UNKNOWN, 0);
	default:
		r = write_folder_entry(w, path, node->mode);
		return r < 0 ? r : write_children(w, path, node);
	}
}

static int write_children(struct pack_writer *w, const char *path, const struct pack_node *node)
{
	int r = 0;

	for (size_t i = 0; i < node->count && r == 0; i++) {
		const struct pack_node *child = node->children[i];
		autofree char *below =
			*path ? str_printf("%s/%s", path, child->name) : strdup(child->name);

		r = below ? write_node(w, below, child) : -ENOMEM;
	}
	return r;
}

int pack_write_tree(struct pack_writer *w, const struct pack_tree *tree)
{
	int r = write_children(w, "", &tree->root);

	return r < 0 ? r : tar_write_end(&w->tar);
}
