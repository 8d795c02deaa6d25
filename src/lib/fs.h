/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees of files, always by descriptor, without recursion on the stack. Quiet. */
#pragma once

#include <stdint.h>

/*
 * Removes dirfd/name with all below it. Never follows a link, never crosses into another mount
 * (-EXDEV, S12), clears the immutable and append-only attributes where they are in the way
 * (NixOS leaves /var/empty that way), and removes nested btrfs subvolumes. -ENOENT when absent.
 */
int fs_remove_tree_at(int dirfd, const char *name);

/*
 * The same, but stops with -ETIME at that time (monotonic, in microseconds; UINT64_MAX: never).
 * What was removed is gone: somebody else can go on.
 */
int fs_remove_tree_until(int dirfd, const char *name, uint64_t deadline_us);

/* Sums st_blocks of the tree, each inode with several links once. Bytes on disk. 0 or -errno. */
int fs_usage_at(int dirfd, const char *name, uint64_t *ret_bytes);

/* mkdir -p of a host path, each part 0755 but the last `mode`. 0 or -errno. */
int fs_make_dirs(const char *path, unsigned mode);

/* As above, opened; -ENOTDIR, -EPERM when it is not a directory of ours that others can't write. */
int fs_open_private_dir(const char *path, unsigned mode);
