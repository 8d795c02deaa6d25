/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An array of records, and a hash table of indices into it with open addressing. The kernel chooses
 * inode numbers, so an archive cannot provoke collisions. Must never grow beyond its bound. Runs in
 * the worker.
 */
#include "transfer/import/inode_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MIN 256
/* About what an allocation takes besides its bytes. */
#define ALLOCATION_OVERHEAD 16

static size_t slot_home(const struct inode_map *p, uint64_t ino)
{
	return (size_t)((ino * UINT64_C(0x9e3779b97f4a7c15)) >> 17) & (p->slot_count - 1);
}

/* The slot of that inode, or the empty one where it belongs. */
static size_t slot_find(const struct inode_map *p, uint64_t ino)
{
	size_t i = slot_home(p, ino);

	while (p->slots[i] != 0 && p->items[p->slots[i] - 1].ino != ino)
		i = (i + 1) & (p->slot_count - 1);
	return i;
}

/* Keeps the table at most half full, so that searches are short. */
static int slots_grow(struct inode_map *p)
{
	size_t wanted = p->slot_count ? 2 * p->slot_count : (size_t)2 * ITEMS_MIN;
	uint32_t *slots;

	if (2 * (p->count + 1) <= p->slot_count)
		return 0;
	slots = calloc(wanted, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(p->slots);
	p->slots = slots;
	p->slot_count = wanted;
	for (size_t i = 0; i < p->count; i++)
		p->slots[slot_find(p, p->items[i].ino)] = (uint32_t)(i + 1);
	return 0;
}

static int items_grow(struct inode_map *p)
{
	size_t capacity = p->capacity ? 2 * p->capacity : ITEMS_MIN;
	struct inode_record *grown;

	if (p->count < p->capacity)
		return 0;
	grown = reallocarray(p->items, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->items = grown;
	p->capacity = capacity;
	return 0;
}

static uint64_t acl_bytes(const struct acl *acl)
{
	uint64_t bytes = acl->count * sizeof(*acl->aces);

	for (size_t i = 0; i < acl->count; i++)
		if (acl->aces[i].name)
			bytes += strlen(acl->aces[i].name) + ALLOCATION_OVERHEAD;
	return bytes;
}

static uint64_t item_bytes(const struct inode_record *item)
{
	const struct metadata *m = &item->metadata;
	/* The array and the table may be twice as large as their used part. */
	uint64_t bytes = 2 * (sizeof(*item) + 2 * sizeof(uint32_t));

	for (size_t i = 0; i < m->xattr_count; i++)
		bytes += sizeof(m->xattrs[i]) + strlen(m->xattrs[i].name) + m->xattrs[i].size +
			 2 * (uint64_t)ALLOCATION_OVERHEAD;
	bytes += acl_bytes(&m->named_acls[0]) + acl_bytes(&m->named_acls[1]);
	return bytes + (item->path ? strlen(item->path) + ALLOCATION_OVERHEAD : 0);
}

static void count_item(struct inode_map *p, const struct inode_record *item, bool in)
{
	uint64_t bytes = item_bytes(item);

	p->bytes = in ? p->bytes + bytes : p->bytes - bytes;
	if (metadata_has_names(&item->metadata))
		p->names = in ? p->names + 1 : p->names - 1;
	if (!item->directory)
		p->files = in ? p->files + 1 : p->files - 1;
}

static void item_done(struct inode_map *p, struct inode_record *item)
{
	count_item(p, item, false);
	metadata_done(&item->metadata);
	free(item->path);
}

int inode_map_put(struct inode_map *p, const struct inode_record *item)
{
	struct inode_record *known = inode_map_find(p, item->ino);
	uint64_t given_back = known ? item_bytes(known) : 0;
	int r;

	if (p->bytes - given_back + item_bytes(item) > INODE_MAP_BYTES_MAX)
		return -E2BIG;
	if (known) {
		item_done(p, known);
	} else {
		r = items_grow(p);
		if (r == 0)
			r = slots_grow(p);
		if (r < 0)
			return r;
		known = &p->items[p->count++];
		p->slots[slot_find(p, item->ino)] = (uint32_t)p->count;
	}
	*known = *item;
	count_item(p, known, true);
	return 0;
}

struct inode_record *inode_map_find(const struct inode_map *p, uint64_t ino)
{
	uint32_t at = p->count > 0 ? p->slots[slot_find(p, ino)] : 0;

	return at > 0 ? &p->items[at - 1] : NULL;
}

/* Empties a slot, and moves later ones up that could no longer be found across the gap. */
static void slot_clear(struct inode_map *p, size_t hole)
{
	size_t mask = p->slot_count - 1;

	for (size_t i = (hole + 1) & mask; p->slots[i] != 0; i = (i + 1) & mask) {
		size_t home = slot_home(p, p->items[p->slots[i] - 1].ino);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		p->slots[hole] = p->slots[i];
		hole = i;
	}
	p->slots[hole] = 0;
}

void inode_map_drop(struct inode_map *p, uint64_t ino)
{
	struct inode_record *item = inode_map_find(p, ino), *last;

	if (!item)
		return;
	item_done(p, item);
	slot_clear(p, slot_find(p, ino));
	last = &p->items[--p->count];
	if (item == last)
		return;
	/* The last record fills the gap. */
	p->slots[slot_find(p, last->ino)] = (uint32_t)(item - p->items) + 1;
	*item = *last;
}

void inode_map_done(struct inode_map *p)
{
	for (size_t i = 0; i < p->count; i++)
		item_done(p, &p->items[i]);
	free(p->items);
	free(p->slots);
	*p = (struct inode_map){};
}
