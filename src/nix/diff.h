/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between two closures, by the names of packages: several paths of one name (two
 * versions, or parts such as -lib and -man) are one row. Quiet.
 */
#pragma once

#include <stdint.h>

#include "nix/db.h"

enum nix_change {
	NIX_CHANGE_ADDED,
	NIX_CHANGE_REMOVED,
	NIX_CHANGE_VERSION,
	NIX_CHANGE_REBUILT, /* the same versions, other paths */
};

struct nix_difference {
	enum nix_change change;
	char *name;
	char **from, **to; /* versions, sorted, each once; "" for a path without one */
	int64_t bytes;	   /* growth; 0 also where no size is known */
};

struct nix_differences {
	struct nix_difference *items; /* sorted by name; equal packages are left out */
	size_t count;
};
void nix_differences_done(struct nix_differences *d);
#define autodifferences autocall(nix_differences_done)

/* Both sorted by name of the path, as nix_infos_read() gives them. 0 or -ENOMEM. */
int nix_diff(const struct nix_infos *from, const struct nix_infos *to, struct nix_differences *ret);
/* "added", "removed", "version", "rebuilt" */
const char *nix_change_name(enum nix_change change);
