/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which users and groups of the host are somebody's already, as its own files say it: /etc/passwd
 * and /etc/group, and what shadow's tools gave users for containers of their own (/etc/subuid,
 * /etc/subgid; rootless podman, LXD). Users that only a directory service knows are not seen.
 * Quiet. Sources: passwd(5), group(5), subuid(5).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum idranges_kind {
	IDRANGES_ACCOUNTS,     /* passwd, group */
	IDRANGES_SUBORDINATES, /* subuid, subgid */
};

/*
 * Has anybody an id in [first, first + count)? 1, then *ret_who (unless NULL) is a new string: the
 * line's first field, in subuid and subgid a name or a number; 0; or -errno, as -EFBIG: a file that
 * can't be read is no answer. `etc` is the directory of the files; a missing one is empty.
 */
int idranges_find(int etc, enum idranges_kind kind, uint32_t first, uint64_t count, char **ret_who);
