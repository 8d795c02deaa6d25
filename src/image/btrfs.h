/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What btrfs knows about a subvolume, without walking it. Quiet. Source:
 * include/uapi/linux/btrfs*.h */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The inode number of every subvolume's root (and of nothing else that is a directory there). */
#define BTRFS_SUBVOLUME_INO 256

struct btrfs_subvolume {
	uint64_t id;
	bool read_only;
	uint64_t created_us;
	uint64_t usage_bytes; /* as its quota group counts; UINT64_MAX with quotas off */
};

/* `fd` is the subvolume's root. -ENOTTY when the file system is another one, else -errno. */
int btrfs_read_subvolume(int fd, struct btrfs_subvolume *ret);
