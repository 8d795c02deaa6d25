/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which generations "old", "+5", "30d" and numbers mean, as nix-env --delete-generations has it.
 * Pure, quiet.
 */
#pragma once

#include "nix/nix.h"

/*
 * Marks those that the words name. "old": all but the current one. "+N": all but the last N up to
 * the current one, and what is newer. "Nd": older than N days, but for the one that was the newest
 * then. *ret_selected: an array of `count` booleans. -EINVAL: *ret_bad is no such word; -ENOENT: it
 * is a number that no generation has.
 */
int nix_generations_select(const struct nix_generation *list, size_t count, char *const words[],
			   uint64_t now_us, bool **ret_selected, const char **ret_bad);
