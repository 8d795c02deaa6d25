/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts the disk space and inodes that an archive uses. Runs in the worker; its parent sets the
 * limits.
 */
#include "transfer/import/quota.h"

#include <errno.h>
#include <string.h>

#include "lib/macro.h"

/* The reserve: a twentieth of the file system, but not more than this. */
#define RESERVE_PART 20
#define RESERVE_BYTES_MAX (UINT64_C(1) << 30)
#define RESERVE_INODES_MAX UINT64_C(50000)
/* What a directory entry takes besides the bytes of the name. */
#define NAME_OVERHEAD 16

static int take_bytes(struct quota *r, uint64_t bytes)
{
	if (bytes > r->bytes_max - MIN(r->bytes, r->bytes_max))
		return -ENOSPC;
	r->bytes += bytes;
	return 0;
}

int quota_take_name(struct quota *r, const char *name)
{
	return take_bytes(r, strlen(name) + NAME_OVERHEAD);
}

int quota_take_inode(struct quota *r, uint64_t bytes)
{
	if (r->inodes >= r->inodes_max)
		return -ENOSPC;
	r->inodes++;
	r->last_block = 0;
	return take_bytes(r, bytes);
}

int quota_take_data(struct quota *r, uint64_t offset, uint64_t size)
{
	uint64_t first = offset / QUOTA_BLOCK, last, blocks;

	if (size == 0)
		return 0;
	last = (offset + size - 1) / QUOTA_BLOCK;
	blocks = last - first + 1 - (r->last_block == first + 1);
	r->last_block = last + 1;
	return take_bytes(r, blocks * QUOTA_BLOCK);
}

static uint64_t spare(uint64_t available, uint64_t total, uint64_t reserve_max)
{
	uint64_t reserve = MIN(total / RESERVE_PART, reserve_max);

	return available > reserve ? available - reserve : 0;
}

struct quota quota_of_file_system(uint64_t bytes_free, uint64_t bytes_total, uint64_t inodes_free,
				  uint64_t inodes_total)
{
	return (struct quota){
		.bytes_max = spare(bytes_free, bytes_total, RESERVE_BYTES_MAX),
		.inodes_max = inodes_total == 0
				      ? QUOTA_UNLIMITED
				      : spare(inodes_free, inodes_total, RESERVE_INODES_MAX),
	};
}
