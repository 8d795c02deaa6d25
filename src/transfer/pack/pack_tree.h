/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The nodes of pack.h's tree, which pack_tree.c builds and pack_write.c writes. Quiet. */
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
	PACK_STORE, /* a path of the store, with everything below it */
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

/* The archive that is being written. */
struct pack_writer {
	struct tar_writer tar;
	struct transfer_stats *stats;
	char *path; /* of the entry that failed; the caller frees it */
};

/*
 * Writes all entries and the end of the archive. 0 or -errno, with w->path set if an entry failed.
 */
int pack_write_tree(struct pack_writer *w, const struct pack_tree *tree);
