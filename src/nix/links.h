/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Links, and the folder of a machine's roots. What is said of a function holds for its errors. */
#pragma once

/* A new string. -EINVAL when it is no link, -ENOENT. Quiet. */
int link_read_at(int dir_fd, const char *name, char **ret);
/*
 * Makes `name` a link to `target`, or another target of the link: by rename, and synced, so that it
 * is the old or the new whenever it is looked at. Under a lock: one at a time. Quiet.
 */
int link_replace_at(int dir_fd, const char *name, const char *target);

/* NIX_ROOTS_DIR/NAME, which marks the machine's profile as ours. Loud. */
int nix_root_make_folder(const char *machine);
/* Where "booted" leads to. Quiet; -ENOENT. */
int nix_root_read(const char *machine, char **ret_store_path);
