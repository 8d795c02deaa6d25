/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which ids of the host are taken, by its files: /etc/passwd and /etc/group, and the subordinate
 * ids that users have for containers of their own (/etc/subuid, /etc/subgid; rootless podman, LXD).
 * Users that only a directory service knows are not seen.
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
 * Whether an id in [first, first + count) is taken. 1: yes, and *ret_who (unless NULL) is a new
 * string, the line's first field (in subuid and subgid a name or a number). 0: no. -errno: a file
 * can't be read, so nothing is known. `etc` is the directory of the files; a missing file is empty.
 */
int idranges_find(int etc, enum idranges_kind kind, uint32_t first, uint64_t count, char **ret_who);
