/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits how much of the pool's file system an archive may use: bytes, in blocks on disk, and
 * inodes. A file that a later entry replaces still counts. Pure, quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_UNLIMITED UINT64_MAX
#define QUOTA_BLOCK UINT64_C(4096)

struct quota {
	uint64_t bytes_max, inodes_max; /* QUOTA_UNLIMITED: no limit */
	uint64_t bytes, inodes;		/* used so far */
	uint64_t last_block;		/* 1 + number of the current file's last block; 0: none */
};

/* Counts a new inode with that many bytes of metadata. 0 or -ENOSPC. */
int quota_take_inode(struct quota *r, uint64_t bytes);
/* Counts a name in a directory. 0 or -ENOSPC. */
int quota_take_name(struct quota *r, const char *name);
/*
 * Counts data of the latest inode. A block counts once, however many writes fill it; a hole does
 * not count. 0 or -ENOSPC.
 */
int quota_take_data(struct quota *r, uint64_t offset, uint64_t size);

/*
 * The default for a file system: what is free, less a reserve that keeps the host working.
 * inodes_total is 0 if the file system has no limit of inodes.
 */
struct quota quota_of_file_system(uint64_t bytes_free, uint64_t bytes_total, uint64_t inodes_free,
				  uint64_t inodes_total);
