/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacks a tar archive of any kind that libarchive reads (v7, ustar, pax, GNU) into an empty
 * directory. Quiet: failures are worded with the entry's name.
 *
 * Absolute names are relative to the root. Refused: a name with "..", a parent that is a symbolic
 * link, a hard link to a file that is not in the tree (yet), an archive without its end mark
 * (truncated). If several entries have one name, the last counts; only another directory replaces a
 * directory that is not empty. A lone top-level folder is stripped.
 *
 * Memory and processor time stay in proportion to what the archive leaves on disk and to its own
 * length. options.quota bounds the disk: -ENOSPC, or -EFBIG if the user set the limit.
 */
#pragma once

#include <stdbool.h>

#include "transfer/decode/decode.h"
#include "transfer/failure.h"
#include "transfer/import/quota.h"
#include "transfer/stats.h"

struct unpack_options {
	int root_fd;
	struct quota quota; /* limits of the tree; nothing is used yet */
	bool quota_is_set;  /* set by the user, not derived from the free space */
};

int unpack_tree(struct decoder *d, const struct unpack_options *options,
		struct transfer_stats *stats, struct failure *failure);
