/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packs a tree that is put together from files of this host, texts and links into a tar archive
 * whose bytes depend on their contents only: sorted by name, owned by root, of second 1, no hard
 * links. Files are read where they are. Loud.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"
#include "transfer/pack/encode.h"
#include "transfer/transfer.h"

struct pack_tree;

struct pack_tree *pack_tree_new(void);
void pack_tree_free(struct pack_tree *tree);
DEFINE_POINTER_CLEANUP(struct pack_tree *, pack_tree_free)
#define autopack autocall(pack_tree_freep)

/*
 * Targets are paths in the archive, with or without a leading slash; folders on the way are made,
 * 0755. What is there already is replaced, but folders grow together. -EINVAL for a target with
 * "..", or that is the root; -ENOTDIR for one below a file.
 */
int pack_tree_add_folder(struct pack_tree *tree, const char *target);
int pack_tree_add_text(struct pack_tree *tree, const char *target, const char *text);
int pack_tree_add_link(struct pack_tree *tree, const char *target, const char *to);
/* A file, folder or link of this host with its mode; a link stays one. */
int pack_tree_add_host(struct pack_tree *tree, const char *target, const char *source);
/*
 * The same for a path of the Nix store, which is only read when it is packed. Modes become what
 * they are in a store: 0555 for folders and programs, 0444 for the rest.
 */
int pack_tree_add_store(struct pack_tree *tree, const char *target, const char *source);

struct pack_request {
	const char *output; /* a file, or "-" for the standard output */
	const char *name;   /* of what is packed, for messages; no bytes that JSON would escape */
	enum encode_format format;
	uint32_t level;
	bool quiet;
	enum transfer_output style;
	uint64_t total_bytes; /* about, for the progress; 0: unknown */
};

/* A file appears complete or not at all. 0, or -errno after it was said; -ECANCELED by a signal. */
int transfer_pack(const struct pack_request *request, const struct pack_tree *tree);
