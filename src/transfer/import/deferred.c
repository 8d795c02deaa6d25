/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Applies deferred metadata in one walk over the finished tree. Must never follow a link: the walk
 * goes by descriptor and looks up records by inode. Runs in the worker.
 */
#include "transfer/import/deferred.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/str.h"
#include "lib/tree_walk.h"
#include "transfer/import/accounts.h"
#include "transfer/import/top_folder.h"

static int deferred_add(struct deferred *d, const char *path, struct metadata *meta,
			struct inode_record record)
{
	int r;

	record.metadata = *meta;
	if (metadata_has_names(meta)) {
		record.path = strdup(path);
		if (!record.path)
			return -ENOMEM;
	}
	r = inode_map_put(&d->records, &record);
	if (r < 0) {
		free(record.path);
		return r;
	}
	metadata_forget(meta);
	return 0;
}

int deferred_add_directory(struct deferred *d, uint64_t ino, const char *path,
			   struct metadata *meta, bool fresh)
{
	return deferred_add(d, path, meta,
			    (struct inode_record){.ino = ino, .directory = true, .fresh = fresh});
}

int deferred_add_file(struct deferred *d, uint64_t ino, const char *path, struct metadata *meta)
{
	return deferred_add(d, path, meta, (struct inode_record){.ino = ino});
}

void deferred_forget(struct deferred *d, uint64_t ino)
{
	inode_map_drop(&d->records, ino);
}

void deferred_done(struct deferred *d)
{
	inode_map_done(&d->records);
}

/* Looks up the names in ACLs in the image itself, whose root is the folder `lone`, or "". */
static int deferred_resolve_names(struct deferred *d, const struct destination *to,
				  const char *lone, struct transfer_stats *stats)
{
	autocall(accounts_done) struct accounts names = {};
	autoclose int root = -1;
	int r;

	if (d->records.names == 0)
		return 0;
	root = destination_open(to, lone, O_PATH | O_DIRECTORY);
	r = root < 0 ? root : accounts_read(root, &names);
	for (size_t i = 0; r == 0 && i < d->records.count; i++) {
		struct inode_record *record = &d->records.items[i];

		if (metadata_has_names(&record->metadata))
			r = metadata_resolve(&record->metadata, &names, record->path, stats);
	}
	return r;
}

struct walk {
	struct deferred *deferred;
	struct transfer_stats *stats;
	uint64_t root_ino; /* the inode whose record applies to the root */
	size_t found;	   /* directories with a record */
	bool below_root;
};

static void walk_note(struct walk *w, const char *name)
{
	(void)snprintf(w->deferred->at, sizeof(w->deferred->at), "%s", name);
}

/*
 * The root directory always belongs to root and can always be entered, whatever the archive says:
 * otherwise the image could not be used. Its flags are not applied: the immutable flag on the root
 * marks an image as read-only, which is up to --read-only.
 */
static int apply_root(struct walk *w, int fd)
{
	struct inode_map *records = &w->deferred->records;
	const struct inode_record *record = inode_map_find(records, w->root_ino);
	struct metadata root;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (record) {
		root = record->metadata;
		root.mode = (root.mode & 0500) == 0500 ? (root.mode & 0755) | 0555 : 0755;
		root.uid = 0;
		root.gid = 0;
		r = metadata_apply_fd(&root, fd, false, w->stats);
	}
	/* If a top-level folder was stripped, both it and the root may have had an entry. */
	inode_map_drop(records, w->root_ino);
	inode_map_drop(records, st.st_ino);
	return r;
}

static int apply_directory(struct walk *w, int fd)
{
	const struct inode_record *record;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	record = inode_map_find(&w->deferred->records, st.st_ino);
	if (!record || !record->directory)
		return 0;
	w->found++;
	r = metadata_apply_fd(&record->metadata, fd, record->fresh, w->stats);
	if (r == 0 && record->metadata.flags != 0)
		r = metadata_apply_flags(record->metadata.flags, fd, w->stats);
	return r;
}

/*
 * Applied on the way down. That is safe: nothing is created or removed any more that would change
 * the times of a directory, and O_NOATIME keeps the walk from changing them.
 */
static int walk_enter(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	struct walk *w = userdata;
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

static int apply_file(struct walk *w, const struct inode_record *record, int dir_fd,
		      const char *name)
{
	autoclose int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	/* A path means that the record has named ACLs, which are attributes by now. */
	r = record->path ? metadata_apply_xattrs(&record->metadata, fd, w->stats) : 0;
	if (r == 0 && record->metadata.flags != 0)
		r = metadata_apply_flags(record->metadata.flags, fd, w->stats);
	return r;
}

static int walk_file(void *userdata, int dir_fd, const char *name)
{
	struct walk *w = userdata;
	struct inode_map *records = &w->deferred->records;
	const struct inode_record *record;
	struct stat st;
	int r;

	if (records->files == 0)
		return 0;
	walk_note(w, name);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	record = S_ISREG(st.st_mode) ? inode_map_find(records, st.st_ino) : NULL;
	if (!record || record->directory)
		return 0;
	r = apply_file(w, record, dir_fd, name);
	/* Only once per inode: an immutable file cannot be changed again through another hard link.
	 */
	inode_map_drop(records, st.st_ino);
	return r;
}

static int deferred_walk(struct deferred *d, const struct destination *to, uint64_t root_ino,
			 struct transfer_stats *stats)
{
	static const struct tree_visitor visitor = {walk_enter, walk_file, NULL};
	struct walk w = {.deferred = d, .stats = stats, .root_ino = root_ino};
	int r = d->records.count > 0 ? tree_walk(to->root_fd, ".", &visitor, &w) : 0;

	if (r < 0)
		return r;
	/* Overlayfs may renumber inodes. Fail rather than lose metadata silently. */
	walk_note(&w, "/");
	return w.found == d->records.count ? 0 : -ESTALE;
}

int deferred_apply(struct deferred *d, const struct destination *to, struct transfer_stats *stats)
{
	autofree char *lone = NULL;
	struct stat st;
	int r = top_folder_find(to->root_fd, &lone);

	walk_note(&(struct walk){.deferred = d}, lone ? lone : "/");
	if (r < 0)
		return r;
	if (fstatat(to->root_fd, lone ? lone : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = deferred_resolve_names(d, to, lone ? lone : "", stats);
	if (r == 0 && lone)
		r = top_folder_strip(to->root_fd, lone);
	return r < 0 ? r : deferred_walk(d, to, st.st_ino, stats);
}
