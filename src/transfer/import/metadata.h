/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owner, mode, times, extended attributes, ACLs and chattr flags of an archive entry. Quiet.
 *
 * Extended attributes: kept are user.*, security.capability and ACLs (which the kernel checks when
 * they are set). Dropped and counted: trusted.* (overlayfs reads instructions from them),
 * user.overlay.* (the same, unprivileged), every other security.* (labels and signatures of another
 * host) and system.*. The owner is a number always. An ACL may come with names (tar --acls): they
 * mean the users and groups of the tree itself, whose files may come later: see metadata_resolve().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "transfer/import/acl.h"
#include "transfer/stats.h"

struct archive_entry;
struct accounts;

#define XATTR_VALUE_MAX ((size_t)64 * 1024)
#define XATTR_COUNT_MAX 256

struct xattr {
	char *name;
	void *value;
	size_t size;
};

struct metadata {
	mode_t mode; /* permission bits, with set-id and sticky */
	uid_t uid;
	gid_t gid;
	struct timespec times[2]; /* access, modification; as utimensat(2) takes them */
	unsigned flags;		  /* of FS_IOC_SETFLAGS, to be added */
	struct xattr *xattrs;
	size_t xattr_count;
	struct acl named_acls[2]; /* access, default: those that wait for their names' numbers */
};

/* -EINVAL for an id that no file can have, -E2BIG for too large attributes, -ENOMEM. */
int metadata_read(struct archive_entry *entry, struct transfer_stats *stats, struct metadata *ret);
void metadata_done(struct metadata *m);
/* What it owned belongs to a copy of it now. */
void metadata_forget(struct metadata *m);

bool metadata_has_names(const struct metadata *m);
/* Bytes of its extended attributes and ACLs. */
uint64_t metadata_xattr_bytes(const struct metadata *m);
/*
 * Turns named ACLs into attributes. A name that the tree doesn't have is left out of its ACL and
 * noted in the stats, with `path`.
 */
int metadata_resolve(struct metadata *m, const struct accounts *names, const char *path,
		     struct transfer_stats *stats);

/*
 * Applies all but the flags. The inode was made by us: `fresh` tells that it has the mode's
 * permission bits and belongs to 0:0. In an order that loses nothing: a change of owner clears
 * set-id bits and capabilities, and a write does so too.
 */
int metadata_apply_fd(const struct metadata *m, int fd, bool fresh, struct transfer_stats *stats);
/* The same for a link or node, which has neither attributes nor ACLs. */
int metadata_apply_at(const struct metadata *m, int dir_fd, const char *name, mode_t type);
/* Only the attributes, for what has all else. */
int metadata_apply_xattrs(const struct metadata *m, int fd, struct transfer_stats *stats);
/* Adds the flags. A file system without them is counted. 0 or -errno. */
int metadata_apply_flags(unsigned flags, int fd, struct transfer_stats *stats);
