/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX ACLs of an archive entry, converted to the kernel's xattrs (linux/posix_acl_xattr.h).
 * Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive_entry;

#define ACL_BLOB_MAX ((size_t)4 + 8 * 1024)
#define ACL_ENTRIES_MAX ((ACL_BLOB_MAX - 4) / 8)

struct ace {
	uint16_t tag; /* from linux/posix_acl.h */
	uint16_t perm;
	uint32_t id;
	char *name; /* owned; the user or group if its id is not known yet, else NULL */
};

struct acl {
	struct ace *aces;
	size_t count;
};

/*
 * Reads the access ACL or (`defaults`) the default ACL; ret->count is 0 if there is none. The
 * caller frees *ret with acl_done(). 0, -EINVAL for an unknown kind of entry, -E2BIG over
 * ACL_BLOB_MAX, or -ENOMEM.
 */
int acl_read(struct archive_entry *entry, bool defaults, struct acl *ret);
void acl_done(struct acl *acl);
/* True if the ids of some entries are not known yet. */
bool acl_has_names(const struct acl *acl);
/*
 * Encodes the ACL, sorted as the kernel requires. Entries that still have a name are left out; the
 * others stay as they are. Returns the size in bytes.
 */
size_t acl_encode(const struct acl *acl, uint8_t blob[static ACL_BLOB_MAX]);
