/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owner, mode, times, extended attributes, ACLs and chattr flags of an archive entry. Quiet.
 *
 * Extended attributes: user.*, security.capability and ACLs are kept; the kernel checks ACLs when
 * they are set. Dropped and counted: trusted.* (overlayfs reads instructions from them),
 * user.overlay.* (the same, unprivileged), every other security.* (labels and signatures of another
 * host) and system.*. Owners are always numeric. ACLs may contain names (tar --acls) of users and
 * groups of the tree itself, whose files may come later in the archive: see metadata_resolve().
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
	unsigned flags;		  /* to be added with FS_IOC_SETFLAGS */
	struct xattr *xattrs;
	size_t xattr_count;
	struct acl named_acls[2]; /* access, default: ACLs with names whose ids are not known yet */
};

/*
 * Reads the metadata of an entry, which the caller frees with metadata_done(). 0, -EINVAL for an id
 * that no file can have, -E2BIG for attributes that are too large, or -ENOMEM.
 */
int metadata_read(struct archive_entry *entry, struct transfer_stats *stats, struct metadata *ret);
void metadata_done(struct metadata *m);
/* Gives up what `m` owns, because a copy of `m` owns it now. */
void metadata_forget(struct metadata *m);

bool metadata_has_names(const struct metadata *m);
/* Size of its extended attributes and ACLs in bytes. */
uint64_t metadata_xattr_bytes(const struct metadata *m);
/*
 * Turns named ACLs into attributes. A name that is not in the tree's files is left out of its ACL,
 * and stats get a note with `path`. 0 or -errno.
 */
int metadata_resolve(struct metadata *m, const struct accounts *names, const char *path,
		     struct transfer_stats *stats);

/*
 * Applies everything except the flags. With `fresh`, the inode was just created with the permission
 * bits of the mode and belongs to 0:0. The owner comes first and the attributes after it, because a
 * change of owner clears set-id bits and capabilities. A write clears them too, so write the
 * content before. 0 or -errno.
 */
int metadata_apply_fd(const struct metadata *m, int fd, bool fresh, struct transfer_stats *stats);
/* The same for a symbolic link or node, without attributes and ACLs. */
int metadata_apply_at(const struct metadata *m, int dir_fd, const char *name, mode_t type);
/* Applies only the extended attributes, which include ACLs. */
int metadata_apply_xattrs(const struct metadata *m, int fd, struct transfer_stats *stats);
/* Adds the flags. Counts flags that the file system does not support. 0 or -errno. */
int metadata_apply_flags(unsigned flags, int fd, struct transfer_stats *stats);
