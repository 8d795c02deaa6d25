/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must wait until every entry is in the tree: the metadata of directories, whose times change
 * with each file made below and whose default ACLs would be inherited, ACLs of names that the tree
 * itself explains, and flags that forbid further changes. Also lifts a lone top-level folder up.
 * Quiet.
 *
 * What waits is known by its inode, so an inode that is removed must be forgotten: its number may
 * be another file's next.
 */
#pragma once

#include <limits.h>

#include "transfer/import/pending.h"
#include "transfer/import/tree.h"

struct later {
	struct pending pending;
	char at[NAME_MAX + 1]; /* the file that later_apply() is about, for words */
};

/*
 * `path` is for words only. Take what `meta` owns (it is emptied) on success. -E2BIG when more
 * waits than memory may be used for, -ENOMEM.
 */
int later_add_directory(struct later *l, uint64_t ino, const char *path, struct meta *meta,
			bool fresh);
int later_add_file(struct later *l, uint64_t ino, const char *path, struct meta *meta);
/* The inode's last name was removed. */
void later_forget(struct later *l, uint64_t ino);
void later_done(struct later *l);

/*
 * Applies all, in one walk over the tree. On error l->at is what it failed on; -ESTALE when the
 * file system doesn't keep the numbers of inodes.
 */
int later_apply(struct later *l, const struct tree *t, struct transfer_stats *stats);
