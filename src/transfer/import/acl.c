/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and encodes ACLs, which saves the dependency on libacl. Must never ask this host for a
 * name. Runs in the worker.
 */
#include "transfer/import/acl.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"

static const struct {
	int archive_tag;
	uint16_t tag;
} tags[] = {
	{ARCHIVE_ENTRY_ACL_USER_OBJ, ACL_USER_OBJ},   {ARCHIVE_ENTRY_ACL_USER, ACL_USER},
	{ARCHIVE_ENTRY_ACL_GROUP_OBJ, ACL_GROUP_OBJ}, {ARCHIVE_ENTRY_ACL_GROUP, ACL_GROUP},
	{ARCHIVE_ENTRY_ACL_MASK, ACL_MASK},	      {ARCHIVE_ENTRY_ACL_OTHER, ACL_OTHER},
};

/* 1 if the id is not known. */
static int ace_from_archive(int archive_tag, int perm, int id, struct ace *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		bool named;

		if (tags[i].archive_tag != archive_tag)
			continue;
		named = tags[i].tag == ACL_USER || tags[i].tag == ACL_GROUP;
		*ret = (struct ace){tags[i].tag, (uint16_t)(perm & 7),
				    named && id >= 0 ? (uint32_t)id : (uint32_t)ACL_UNDEFINED_ID,
				    NULL};
		return named && id < 0;
	}
	return -EINVAL;
}

static int ace_compare(const void *a, const void *b)
{
	const struct ace *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int acl_collect(struct archive_entry *entry, int type, struct acl *acl)
{
	int entry_type, perm, tag, id;
	const char *name;

	while (archive_entry_acl_next(entry, type, &entry_type, &perm, &tag, &id, &name) ==
	       ARCHIVE_OK) {
		struct ace *ace = &acl->aces[acl->count];
		int r;

		/* Leave room for a mask. */
		if (acl->count + 1 >= ACL_ENTRIES_MAX)
			return -E2BIG;
		r = ace_from_archive(tag, perm, id, ace);
		if (r < 0)
			return r;
		acl->count++;
		if (r == 0)
			continue;
		ace->name = strdup(name ? name : "");
		if (!ace->name)
			return -ENOMEM;
	}
	return 0;
}

void acl_done(struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++)
		free(acl->aces[i].name);
	free(acl->aces);
	*acl = (struct acl){};
}

/* Returns unused memory: ACLs with names are kept until the end, possibly one per file. */
static void acl_shrink(struct acl *acl)
{
	struct ace *small = reallocarray(acl->aces, MAX(acl->count, (size_t)1), sizeof(*small));

	if (small)
		acl->aces = small;
}

int acl_read(struct archive_entry *entry, bool defaults, struct acl *ret)
{
	int type = defaults ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	int count = archive_entry_acl_reset(entry, type), r;
	struct acl acl = {};

	if (count > (int)ACL_ENTRIES_MAX)
		return -E2BIG;
	if (count > 0) {
		/* The count may leave out the entries of the mode bits. */
		acl.aces = calloc(ACL_ENTRIES_MAX, sizeof(*acl.aces));
		if (!acl.aces)
			return -ENOMEM;
		r = acl_collect(entry, type, &acl);
		if (r < 0) {
			acl_done(&acl);
			return r;
		}
		acl_shrink(&acl);
	}
	*ret = acl;
	return 0;
}

bool acl_has_names(const struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->aces[i].name)
			return true;
	return false;
}

/*
 * The kernel refuses entries for named users and groups without a mask. Adds one that grants all
 * that the entries grant.
 */
static size_t acl_add_mask(struct ace *aces, size_t n)
{
	uint16_t all = 0;
	bool named = false;

	for (size_t i = 0; i < n; i++) {
		if (aces[i].tag == ACL_MASK)
			return n;
		named = named || aces[i].tag == ACL_USER || aces[i].tag == ACL_GROUP;
		if (aces[i].tag == ACL_USER || aces[i].tag == ACL_GROUP ||
		    aces[i].tag == ACL_GROUP_OBJ)
			all |= aces[i].perm;
	}
	if (named)
		aces[n++] = (struct ace){ACL_MASK, all, (uint32_t)ACL_UNDEFINED_ID, NULL};
	return n;
}

static uint8_t *put_le(uint8_t *at, uint32_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		*at++ = (uint8_t)(value >> (8 * i));
	return at;
}

static size_t acl_known(const struct acl *acl, struct ace known[static ACL_ENTRIES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < acl->count; i++)
		if (!acl->aces[i].name)
			known[n++] = acl->aces[i];
	return acl_add_mask(known, n);
}

size_t acl_encode(const struct acl *acl, uint8_t blob[static ACL_BLOB_MAX])
{
	struct ace known[ACL_ENTRIES_MAX];
	size_t count = acl_known(acl, known);
	uint8_t *at = blob;

	qsort(known, count, sizeof(known[0]), ace_compare);
	at = put_le(at, POSIX_ACL_XATTR_VERSION, 4);
	for (size_t i = 0; i < count; i++) {
		at = put_le(at, known[i].tag, 2);
		at = put_le(at, known[i].perm, 2);
		at = put_le(at, known[i].id, 4);
	}
	return (size_t)(at - blob);
}
