/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packs a tree into a tar archive. The tree is composed of files of this host, texts and links. The
 * bytes of the archive depend only on the tree: entries are sorted by name and owned by root, their
 * time is second 1, and there are no hard links. Files of the host are read in place, while
 * packing. Loud.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"
#include "transfer/pack/encode.h"
#include "transfer/transfer.h"

struct pack_tree;

/* NULL if memory runs out. */
struct pack_tree *pack_tree_new(void);
void pack_tree_free(struct pack_tree *tree);
DEFINE_POINTER_CLEANUP(struct pack_tree *, pack_tree_free)
#define autopack autocall(pack_tree_freep)

/*
 * Targets are paths in the archive, with or without a leading slash. Missing parent folders are
 * created, 0755. An existing entry is replaced, but folders are merged. Strings are copied. 0,
 * -EINVAL for the root or a target with "..", -ENOTDIR for a target below a file, or another
 * -errno.
 */
int pack_tree_add_folder(struct pack_tree *tree, const char *target);
int pack_tree_add_text(struct pack_tree *tree, const char *target, const char *text);
int pack_tree_add_link(struct pack_tree *tree, const char *target, const char *to);
/* Adds a file, folder or link of this host with its mode. Links are not followed. */
int pack_tree_add_host(struct pack_tree *tree, const char *target, const char *source);
/*
 * The same for a path of the Nix store, which is read only while packing. Modes become those of a
 * store: 0555 for folders and programs, 0444 for other files.
 */
int pack_tree_add_store(struct pack_tree *tree, const char *target, const char *source);

struct pack_request {
	const char *output; /* a file, or "-" for the standard output */
	const char *name;   /* of what is packed, for messages; must need no escapes in JSON */
	enum encode_format format;
	uint32_t level;
	bool quiet;
	enum transfer_output style;
	uint64_t total_bytes; /* estimate for the progress; 0: unknown */
};

/*
 * Packs the tree. An output file appears complete or not at all. 0, or -errno after the failure was
 * logged: -ECANCELED after SIGINT or SIGTERM, …
 */
int transfer_pack(const struct pack_request *request, const struct pack_tree *tree);
