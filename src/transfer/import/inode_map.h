/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash map from inode numbers to metadata that is applied after the last entry. A second entry
 * for the same directory replaces its record. The size is bounded in bytes, and each operation
 * takes constant time, whatever the archive contains. Quiet.
 */
#pragma once

#include "transfer/import/metadata.h"

/* Enough for two million directories; attributes and ACLs count too. */
#define INODE_MAP_BYTES_MAX (UINT64_C(256) * 1024 * 1024)

struct inode_record {
	uint64_t ino;
	struct metadata metadata;
	char *path;	/* for messages about named ACLs; NULL if there are none */
	bool directory; /* all metadata is deferred; of other files only flags and named ACLs */
	bool fresh;	/* see metadata_apply_fd() */
};

struct inode_map {
	struct inode_record *items; /* in no order */
	uint32_t *slots;	    /* 1 + index into items, by inode; 0: empty */
	size_t count;
	size_t capacity;
	size_t slot_count; /* a power of two */
	uint64_t bytes;	   /* of records, and of what they own */
	size_t names;	   /* items with named ACLs */
	size_t files;	   /* items that are not directories */
};

/*
 * Adds a record, or replaces that of the inode. On success the map owns what item->metadata and
 * item->path own. 0, -E2BIG if the records would take more than INODE_MAP_BYTES_MAX, or -ENOMEM.
 */
int inode_map_put(struct inode_map *p, const struct inode_record *item);
/* NULL if there is none; valid until the next put or drop. */
struct inode_record *inode_map_find(const struct inode_map *p, uint64_t ino);
void inode_map_drop(struct inode_map *p, uint64_t ino);
void inode_map_done(struct inode_map *p);
