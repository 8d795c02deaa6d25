/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree of pack.h as its writer sees it. Quiet. */
#pragma once

#include <stddef.h>

#include "transfer/pack/pack.h"
#include "transfer/pack/tar_write.h"
#include "transfer/stats.h"

enum pack_kind {
	PACK_FOLDER,
	PACK_TEXT,
	PACK_LINK,
	PACK_HOST,  /* a file of this host */
	PACK_STORE, /* a path of the store, with all below it */
};

struct pack_node {
	char *name;
	enum pack_kind kind;
	mode_t mode;
	char *text;		     /* the content, the link's target, or the path on this host */
	struct pack_node **children; /* sorted by name */
	size_t count;
};

struct pack_tree {
	struct pack_node root;
};

/* What is being written, for the words of a failure. */
struct pack_writer {
	struct tar_writer tar;
	struct transfer_stats *stats;
	char *path; /* that failed; the caller's to free */
};

int pack_write_tree(struct pack_writer *w, const struct pack_tree *tree);
