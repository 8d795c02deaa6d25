/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metadata that is applied after the last entry: that of directories, because each file created in
 * a directory changes its times and would inherit its default ACL; ACLs with names, which are
 * looked up in the finished tree; and flags that forbid further changes. Also strips a lone
 * top-level folder. Quiet.
 *
 * Records are kept by inode. When an inode is removed, call deferred_forget(): the file system may
 * reuse its number.
 */
#pragma once

#include <limits.h>

#include "transfer/import/destination.h"
#include "transfer/import/inode_map.h"

struct deferred {
	struct inode_map records;
	char at[NAME_MAX + 1]; /* name of the file that deferred_apply() works on, for messages */
};

/*
 * `path` is for messages only. On success the records own what `meta` owned. 0, -E2BIG if the
 * records would take more than INODE_MAP_BYTES_MAX, or -ENOMEM.
 */
int deferred_add_directory(struct deferred *d, uint64_t ino, const char *path,
			   struct metadata *meta, bool fresh);
int deferred_add_file(struct deferred *d, uint64_t ino, const char *path, struct metadata *meta);
/* Drops the record of an inode whose last name was removed. */
void deferred_forget(struct deferred *d, uint64_t ino);
void deferred_done(struct deferred *d);

/*
 * Applies all records in one walk over the tree. 0 or -errno, with d->at set to the name of the
 * file that failed; -ESTALE if inode numbers have changed, so that records were not found.
 */
int deferred_apply(struct deferred *d, const struct destination *to, struct transfer_stats *stats);
