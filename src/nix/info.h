/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data of the store about a path and its closure: from the database, else from nix-store. Loud.
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

/* Checks that the path is in the database and on disk. 0, -ENOENT (said) or another -errno. */
int nix_path_check(const char *store_path);

/*
 * Text as nix-store --load-db takes it and --dump-db writes it, without derivers: records of path,
 * hash, size, an empty line, the number of references, the references.
 */
int nix_registration_write(const struct nix_infos *infos, char **ret);
/* Parses that text, and ignores derivers. -EBADMSG for any other text. Quiet. */
int nix_registration_parse(const char *text, struct nix_infos *ret);
