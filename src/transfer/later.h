/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must wait until every entry is in the tree: the metadata of directories, whose times change
 * with each file made below and whose default ACLs would be inherited, ACLs of names that the tree
 * itself explains, and flags that forbid further changes. Also lifts a lone top-level folder up.
 * Quiet.
 */
#pragma once

#include "transfer/meta.h"
#include "transfer/tree.h"

struct later_item {
	char *path;
	struct meta meta;
	bool directory; /* the whole of meta, else only its flags and named ACLs */
	bool fresh;
};

struct later {
	struct later_item *items;
	size_t count;
	size_t capacity;
	bool has_names;
	bool has_files;
};

/* Takes what `meta` owns (it is emptied) on success. */
int later_add_directory(struct later *l, const char *path, struct meta *meta, bool fresh);
int later_add_file(struct later *l, const char *path, struct meta *meta);
/* Another entry replaces it. */
void later_forget_file(struct later *l, const char *path);
void later_done(struct later *l);

/* Applies all. On error *ret_path is what it failed on, owned by `l`. */
int later_apply(struct later *l, struct tree *t, struct transfer_stats *stats,
		const char **ret_path);
