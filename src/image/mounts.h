/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts of this process's namespace. Quiet. Source: proc(5), mountinfo. */
#pragma once

/* 1 and a mount point at or below `path` (absolute, links resolved), 0 when there is none, -errno.
 */
int mounts_find_below(const char *path, char **ret);
