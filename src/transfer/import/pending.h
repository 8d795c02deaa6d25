/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metadata that waits for the end of the archive, one record for each inode: another entry for the
 * same directory replaces its record, and a removed file takes its record along. Bounded in bytes,
 * and every step takes constant time, whatever an archive does. Quiet.
 */
#pragma once

#include "transfer/import/meta.h"

/* Two million directories; attributes and ACLs that wait take their share. */
#define PENDING_BYTES_MAX (UINT64_C(256) * 1024 * 1024)

struct pending_item {
	uint64_t ino;
	struct meta meta;
	char *path;	/* for words about named ACLs; NULL without those */
	bool directory; /* the whole of meta waits, else only its flags and named ACLs */
	bool fresh;	/* as meta_apply_fd() has it */
};

struct pending {
	struct pending_item *items; /* in no order */
	uint32_t *slots;	    /* 1 + index into items, by inode; 0: empty */
	size_t count;
	size_t capacity;
	size_t slot_count; /* a power of two */
	uint64_t bytes;	   /* of records, and of what they own */
	size_t names;	   /* items with named ACLs */
	size_t files;	   /* items that are no directories */
};

/*
 * Takes what item->meta and item->path own, on success; replaces the record of that inode. -E2BIG
 * where it would take more than PENDING_BYTES_MAX, -ENOMEM.
 */
int pending_put(struct pending *p, const struct pending_item *item);
/* NULL when there is none; valid until the next put or drop. */
struct pending_item *pending_find(const struct pending *p, uint64_t ino);
void pending_drop(struct pending *p, uint64_t ino);
void pending_done(struct pending *p);
