/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strips the top-level folder of an archive that has only one, such as "mysystem/usr",
 * "mysystem/etc", … Quiet.
 */
#pragma once

/*
 * Finds the only entry of the root, if it is a directory and not itself part of a system ("usr",
 * "nix", …). 1 with *ret_name, which the caller frees; 0 if there is nothing to strip; or -errno.
 */
int top_folder_find(int root_fd, char **ret_name);

/* Moves the content of root/name into the root and removes the empty folder. 0 or -errno. */
int top_folder_strip(int root_fd, const char *name);
