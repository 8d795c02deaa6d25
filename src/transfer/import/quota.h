/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of the pool's file system an archive may take: bytes, in blocks as they lie on disk, and
 * inodes. What a later entry replaces stays counted. Pure, quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_UNLIMITED UINT64_MAX
#define QUOTA_BLOCK UINT64_C(4096)

struct quota {
	uint64_t bytes_max, inodes_max; /* QUOTA_UNLIMITED: no limit */
	uint64_t bytes, inodes;		/* taken so far */
	uint64_t last_block;		/* of the file at hand, 1 + its number; 0: none yet */
};

/* A new inode with so many bytes of metadata. 0 or -ENOSPC. */
int quota_take_inode(struct quota *r, uint64_t bytes);
/* Another name, in a directory. 0 or -ENOSPC. */
int quota_take_name(struct quota *r, const char *name);
/*
 * Data of the file whose inode was taken last: a block counts once, however many small pieces fill
 * it, and a hole not at all. 0 or -ENOSPC.
 */
int quota_take_data(struct quota *r, uint64_t offset, uint64_t size);

/*
 * What a file system with so much free can spare: some of it stays free, so that the host goes on
 * working. 0 inodes: the file system doesn't count them.
 */
struct quota quota_of_file_system(uint64_t bytes_free, uint64_t bytes_total, uint64_t inodes_free,
				  uint64_t inodes_total);
