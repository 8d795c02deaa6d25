/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns the entries of an archive into files. Must never let libarchive touch a file: it reads the
 * format, and every file is created here, through descriptors. Runs in the worker.
 */
#include "transfer/import/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "transfer/import/deferred.h"
#include "transfer/import/tar_read.h"
#include "transfer/import/writeback.h"

/* ext4 keeps a shorter target in the inode itself. */
#define LINK_IN_INODE 60

struct unpack {
	struct tar_read *tar;
	struct destination destination;
	struct deferred deferred;
	const struct unpack_options *options;
	struct transfer_stats *stats;
	struct failure *failure;
	struct writeback *writeback;
	struct quota quota;
	uint64_t bytes; /* of data, written so far */
};

struct item {
	struct archive_entry *entry;
	mode_t type;
	char name[ENTRY_NAME_SIZE];
	struct place place;
	struct metadata metadata;
};

/* Creates the entry at its place; -EEXIST if another file is there. */
typedef int (*make_fn)(struct unpack *u, struct item *it);

static int quota_exceeded(struct unpack *u, const struct item *it)
{
	const struct quota *room = &u->quota;
	bool bytes = room->inodes < room->inodes_max;
	const char *of = bytes ? "bytes" : "files";
	unsigned long long max = bytes ? room->bytes_max : room->inodes_max;

	if (u->options->quota_is_set && bytes) {
		(void)failure_set(u->failure, -EFBIG,
				  "at entry '%.300s' the archive unpacks to more than %llu bytes, "
				  "the limit that was set",
				  it->name, max);
		return failure_hint(u->failure, "raise --max-size if the archive is to be trusted");
	}
	(void)failure_errno(u->failure, -ENOSPC,
			    "entry '%.300s' would make more than %llu %s, which is what the pool's "
			    "file system can spare",
			    it->name, max, of);
	return failure_hint(u->failure, "free space in the image pool, move it to a larger disk, "
					"or set another limit: --max-size=");
}

/* Counts what the current entry takes besides its data. */
static int charge_inode(struct unpack *u, const struct item *it, uint64_t bytes)
{
	int r = quota_take_inode(&u->quota, bytes + metadata_xattr_bytes(&it->metadata));

	if (r == 0)
		r = quota_take_name(&u->quota, it->place.name);
	return r < 0 ? quota_exceeded(u, it) : 0;
}

static int file_write_block(struct unpack *u, const struct item *it, const struct tar_block *block,
			    int fd, uint64_t *position)
{
	if (block->offset != *position &&
	    lseek(fd, (off_t)block->offset, SEEK_SET) != (off_t)block->offset)
		return -EFBIG;
	if (quota_take_data(&u->quota, block->offset, block->size) < 0)
		return quota_exceeded(u, it);
	u->bytes += block->size;
	stats_add(&u->stats->bytes_unpacked, block->size);
	writeback_note(u->writeback, u->bytes);
	*position = block->offset + block->size;
	return io_write_all(fd, block->data, block->size);
}

static int file_write(struct unpack *u, const struct item *it, int fd)
{
	uint64_t position = 0, before = u->quota.bytes;
	struct tar_block block;
	int r;

	while ((r = tar_read_block(u->tar, &block)) > 0) {
		r = file_write_block(u, it, &block, fd, &position);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	stats_add(&u->stats->bytes_on_disk, u->quota.bytes - before);
	/* A sparse file may end with a hole. */
	if (archive_entry_size(it->entry) > (la_int64_t)position &&
	    ftruncate(fd, archive_entry_size(it->entry)) < 0)
		return -errno;
	return 0;
}

static int make_file(struct unpack *u, struct item *it)
{
	autoclose int fd = openat(it->place.dir_fd, it->place.name,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				  it->metadata.mode & 0777);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = charge_inode(u, it, 0);
	if (r < 0)
		return r;
	if (archive_entry_size(it->entry) > 0) {
		r = file_write(u, it, fd);
		if (r < 0)
			return r;
	}
	r = metadata_apply_fd(&it->metadata, fd, true, u->stats);
	if (r < 0 || (it->metadata.flags == 0 && !metadata_has_names(&it->metadata)))
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	return deferred_add_file(&u->deferred, st.st_ino, it->name, &it->metadata);
}

static int make_directory(struct unpack *u, struct item *it)
{
	struct stat st;
	bool fresh = mkdirat(it->place.dir_fd, it->place.name, it->metadata.mode & 0777) == 0;
	int r = 0;

	if (!fresh && errno != EEXIST)
		return -errno;
	if (fstatat(it->place.dir_fd, it->place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -EEXIST;
	if (fresh)
		r = charge_inode(u, it, STATS_DISK_BLOCK);
	if (r < 0)
		return r;
	stats_add(&u->stats->bytes_on_disk, fresh ? STATS_DISK_BLOCK : 0);
	return deferred_add_directory(&u->deferred, st.st_ino, it->name, &it->metadata, fresh);
}

static int make_symlink(struct unpack *u, struct item *it)
{
	const char *target = archive_entry_symlink(it->entry);
	int r;

	if (!target || !target[0])
		return failure_set(u->failure, -EBADMSG, "entry '%.300s' is a link to nothing",
				   it->name);
	if (symlinkat(target, it->place.dir_fd, it->place.name) < 0)
		return -errno;
	r = charge_inode(u, it, strlen(target) < LINK_IN_INODE ? 0 : STATS_DISK_BLOCK);
	return r < 0 ? r
		     : metadata_apply_at(&it->metadata, it->place.dir_fd, it->place.name, it->type);
}

static int make_node(struct unpack *u, struct item *it)
{
	int r;

	if (mknodat(it->place.dir_fd, it->place.name, it->type | (it->metadata.mode & 0777),
		    archive_entry_rdev(it->entry)) < 0) {
		if (errno != EPERM)
			return -errno;
		stats_add(&u->stats->skipped_nodes, 1);
		return 0;
	}
	r = charge_inode(u, it, 0);
	return r < 0 ? r
		     : metadata_apply_at(&it->metadata, it->place.dir_fd, it->place.name, it->type);
}

static int hardlink_refused(struct unpack *u, const struct item *it, const char *target, int r)
{
	return failure_errno(u->failure, r, "entry '%.300s': link to '%.200s'", it->name, target);
}

/* The body of a hard link, if it has one, repeats the content of its target and is skipped. */
static int make_hardlink(struct unpack *u, struct item *it)
{
	const char *raw = archive_entry_hardlink(it->entry);
	char target[ENTRY_NAME_SIZE];
	struct stat there, wanted;
	int r = raw ? entry_clean_name(raw, target) : -EBADMSG;

	if (r == 0 && target[0] == '\0')
		r = -EISDIR;
	if (r < 0)
		return hardlink_refused(u, it, raw ? raw : "?", r);
	r = destination_link(&u->destination, target, &it->place);
	if (r == -EEXIST) {
		autoclose int fd = destination_open(&u->destination, target, O_PATH | O_NOFOLLOW);

		/* The link exists already, or links to itself: removing it could lose the file. */
		if (fd >= 0 && fstat(fd, &wanted) == 0 &&
		    fstatat(it->place.dir_fd, it->place.name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		    there.st_dev == wanted.st_dev && there.st_ino == wanted.st_ino)
			return 0;
		return -EEXIST;
	}
	if (r < 0)
		return hardlink_refused(u, it, target, r);
	return quota_take_name(&u->quota, it->place.name) < 0 ? quota_exceeded(u, it) : 0;
}

static const struct {
	mode_t type;
	make_fn make;
} makers[] = {
	{S_IFREG, make_file},  {S_IFDIR, make_directory}, {S_IFLNK, make_symlink},
	{S_IFCHR, make_node},  {S_IFBLK, make_node},	  {S_IFIFO, make_node},
	{S_IFSOCK, make_node},
};

static make_fn maker_find(const struct item *it)
{
	if (archive_entry_hardlink(it->entry))
		return make_hardlink;
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (makers[i].type == it->type)
			return makers[i].make;
	return NULL;
}

static int unpack_root(struct unpack *u, struct item *it)
{
	struct stat st;

	if (it->type != S_IFDIR)
		return failure_set(u->failure, -EBADMSG,
				   "the entry of the archive's root is no directory");
	if (fstat(u->destination.root_fd, &st) < 0)
		return -errno;
	return deferred_add_directory(&u->deferred, st.st_ino, it->name, &it->metadata, false);
}

/* Finds the place of an entry, and counts the parents that were created for it. */
static int unpack_locate(struct unpack *u, struct item *it)
{
	uint64_t before = u->destination.made;
	int r = destination_locate(&u->destination, it->name, &it->place);

	stats_add(&u->stats->parents, u->destination.made - before);
	for (uint64_t made = u->destination.made - before; made > 0; made--)
		if (quota_take_inode(&u->quota, STATS_DISK_BLOCK) < 0)
			return quota_exceeded(u, it);
	return r;
}

static int unpack_make(struct unpack *u, struct item *it)
{
	make_fn make = maker_find(it);
	uint64_t removed;
	int r;

	if (!make)
		return failure_set(u->failure, -EBADMSG, "entry '%.400s' is of an unknown kind",
				   it->name);
	if (it->name[0] == '\0')
		return unpack_root(u, it);
	r = unpack_locate(u, it);
	if (r == -ELOOP) {
		(void)failure_set(u->failure, r,
				  "entry '%.400s' lies below a symbolic link of the archive",
				  it->name);
		return failure_hint(u->failure,
				    "pack the tree again with the real directory's name");
	}
	if (r < 0)
		return r;
	r = make(u, it);
	if (r != -EEXIST)
		return r;
	r = destination_clear(&u->destination, it->name, &it->place, &removed);
	if (r == -EEXIST)
		return failure_set(u->failure, r,
				   "entry '%.400s' would replace a directory that is not empty",
				   it->name);
	if (r < 0)
		return r;
	if (removed != 0)
		deferred_forget(&u->deferred, removed);
	return make(u, it);
}

static int unpack_name(struct unpack *u, struct item *it)
{
	const char *raw = archive_entry_pathname(it->entry);
	int r;

	if (!raw || !raw[0])
		return failure_set(u->failure, -EBADMSG, "entry %llu has no usable name",
				   (unsigned long long)atomic_load(&u->stats->entries));
	r = entry_clean_name(raw, it->name);
	if (r == -EXDEV) {
		(void)failure_set(u->failure, r, "entry '%.400s' leads out of the tree by '..'",
				  raw);
		return failure_hint(u->failure, "the archive may be hostile; nothing was imported");
	}
	if (r < 0)
		return failure_errno(u->failure, r, "entry '%.100s…'", raw);
	return 0;
}

static int unpack_item(struct unpack *u, struct item *it)
{
	int r = unpack_name(u, it);

	if (r < 0)
		return r;
	it->type = archive_entry_filetype(it->entry);
	r = metadata_read(it->entry, u->stats, &it->metadata);
	if (r == 0) {
		r = unpack_make(u, it);
		metadata_done(&it->metadata);
	}
	stats_add(&u->stats->entries, 1);
	if (r == -E2BIG)
		return failure_set(u->failure, r,
				   "entry '%.300s': its attributes are too large, or those of all "
				   "directories take more than %llu MiB",
				   it->name, (unsigned long long)(INODE_MAP_BYTES_MAX >> 20));
	if (r == -ENOSPC || r == -EDQUOT) {
		(void)failure_errno(u->failure, r, "unpack '%.400s'", it->name);
		return failure_hint(u->failure,
				    "free space in the image pool, or move it to a larger disk");
	}
	return r < 0 ? failure_errno(u->failure, r, "unpack '%.400s'", it->name) : 0;
}

static int unpack_entries(struct unpack *u)
{
	struct item it;
	int r;

	while ((r = tar_read_next(u->tar, &it.entry)) > 0) {
		r = unpack_item(u, &it);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : tar_read_finish(u->tar);
}

static int unpack_archive(struct unpack *u, struct decoder *d)
{
	int r = tar_read_open(d, u->stats, u->failure, &u->tar);

	if (r == 0)
		r = unpack_entries(u);
	if (r < 0)
		return r;
	r = deferred_apply(&u->deferred, &u->destination, u->stats);
	if (r == -ESTALE)
		return failure_set(
			u->failure, r,
			"the file system of the pool doesn't keep the numbers of inodes");
	return r < 0 ? failure_errno(u->failure, r, "finish '%.400s'", u->deferred.at) : 0;
}

int unpack_tree(struct decoder *d, const struct unpack_options *options,
		struct transfer_stats *stats, struct failure *failure)
{
	struct unpack u = {
		.options = options, .stats = stats, .failure = failure, .quota = options->quota};
	int r = writeback_start(options->root_fd, failure, &u.writeback);
	int flushed;

	if (r < 0)
		return r;
	destination_init(&u.destination, options->root_fd);
	r = unpack_archive(&u, d);
	flushed = writeback_finish(u.writeback);
	tar_read_close(u.tar);
	deferred_done(&u.deferred);
	destination_done(&u.destination);
	return r < 0 ? r : flushed;
}
