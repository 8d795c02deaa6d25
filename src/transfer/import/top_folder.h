/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strips the top-level folder of an archive that has only one, such as "mysystem/usr",
 * "mysystem/etc", … Quiet.
 */
#pragma once

/*
 * The name of the only entry of the root when it is a directory and no part of a system itself
 * ("usr", "nix", …). 1 with *ret_name set, 0 when there is none to strip, or -errno.
 */
int top_folder_find(int root_fd, char **ret_name);

/* Moves what is in root/name into the root and removes the empty folder. 0 or -errno. */
int top_folder_strip(int root_fd, const char *name);
