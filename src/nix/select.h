/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The generations that "old", "+5", "30d" and numbers name, as in nix-env --delete-generations.
 * Quiet.
 */
#pragma once

#include "nix/nix.h"

/*
 * "old": all but the current one. "+N": all but newer ones, the current one and the N - 1 before
 * it. "Nd": those older than N days, but for the newest of them. *ret_selected: an array of `count`
 * booleans. -EINVAL: *ret_bad is no such word; -ENOENT: no generation has the number *ret_bad.
 */
int nix_generations_select(const struct nix_generation *list, size_t count, char *const words[],
			   uint64_t now_us, bool **ret_selected, const char **ret_bad);
