/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the store knows of a path and of all that it needs: from the database, else from nix-store.
 * Loud.
 */
#pragma once

#include <stdbool.h>

#include "nix/db.h"

enum nix_detail {
	NIX_DETAIL_NAMES,     /* names, and sizes and hashes where the database is read */
	NIX_DETAIL_REFERENCES /* hashes, sizes and references of all */
};

/* -ENOENT (said) for a path that isn't valid, or when a path of the closure is gone. */
int nix_infos_read(const char *store_path, enum nix_detail detail, struct nix_infos *ret);

/* Whether the store says that the path is there, and it is. 0, or -ENOENT or another after it said.
 */
int nix_path_check(const char *store_path);

/*
 * Text as nix-store --load-db takes it and --dump-db writes it, without derivers: records of path,
 * hash, size, an empty line, the number of references, the references.
 */
int nix_registration_write(const struct nix_infos *infos, char **ret);
/* The same text read; derivers are passed over. -EBADMSG for anything else. Quiet. */
int nix_registration_parse(const char *text, struct nix_infos *ret);
