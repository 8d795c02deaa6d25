/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacks a tar archive of any kind that libarchive reads (v7, ustar, pax, GNU) into an empty
 * directory. Quiet: failures are worded with the entry's name.
 *
 * Absolute names are taken beneath the root. Refused: a name with "..", a parent that is a symbolic
 * link, a hard link to what is not in the tree (yet), an archive without its end mark (truncated).
 * Of several entries with one name the last counts; nothing but another directory replaces a
 * directory that is not empty. A lone top-level folder is lifted up.
 */
#pragma once

#include "transfer/decode.h"
#include "transfer/failure.h"
#include "transfer/stats.h"

struct unpack_options {
	int root_fd;
	uint64_t limit_bytes; /* 0: none */
};

int unpack_tree(struct decode *d, const struct unpack_options *options,
		struct transfer_stats *stats, struct failure *failure);
