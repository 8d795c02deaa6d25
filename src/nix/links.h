/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Links, and the folder of a machine's roots. */
#pragma once

/* A new string. -EINVAL when it is no link, -ENOENT. Quiet. */
int link_read_at(int dir_fd, const char *name, char **ret);
/*
 * Makes `name` a link to `target`, by rename and fsync: a reader, also after a crash, finds the old
 * target or the new one. The caller holds a lock that keeps other writers away. Quiet.
 */
int link_replace_at(int dir_fd, const char *name, const char *target);

/* Makes NIX_ROOTS_DIR/NAME, which marks the machine's profile as ours. Loud. */
int nix_root_make_folder(const char *machine);
/* The target of "booted". -ENOENT. Quiet. */
int nix_root_read(const char *machine, char **ret_store_path);
