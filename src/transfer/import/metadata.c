/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and applies the metadata of an archive entry. Must never look up a user's name on this
 * host. Runs in the worker.
 */
#include "transfer/import/metadata.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "transfer/import/accounts.h"
#include "transfer/import/acl.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ID_MAX INT64_C(4294967294)
#define NSEC_MAX 999999999L
/* Flags of chattr(1) that an archive may set; none that changes how data is stored. */
#define FLAGS_KEPT                                                                                 \
	(FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL)

static bool xattr_is_kept(const char *name)
{
	const char *user = str_after_prefix(name, "user.");

	if (user)
		return !str_after_prefix(user, "overlay.");
	return streq(name, "security.capability") || streq(name, ACL_ACCESS) ||
	       streq(name, ACL_DEFAULT);
}

static int metadata_add_xattr(struct metadata *m, const char *name, const void *value, size_t size)
{
	struct xattr *grown;
	struct xattr x = {.size = size};

	if (size > XATTR_VALUE_MAX || m->xattr_count >= XATTR_COUNT_MAX)
		return -E2BIG;
	grown = reallocarray(m->xattrs, m->xattr_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->xattrs = grown;
	x.name = strdup(name);
	x.value = malloc(size ? size : 1);
	if (!x.name || !x.value) {
		free(x.name);
		free(x.value);
		return -ENOMEM;
	}
	memcpy(x.value, value, size);
	m->xattrs[m->xattr_count++] = x;
	return 0;
}

static bool metadata_has_xattr(const struct metadata *m, const char *name)
{
	for (size_t i = 0; i < m->xattr_count; i++)
		if (streq(m->xattrs[i].name, name))
			return true;
	return false;
}

static int metadata_read_xattrs(struct archive_entry *entry, struct transfer_stats *stats,
				struct metadata *m)
{
	const char *name;
	const void *value;
	size_t size;

	(void)archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		int r = 0;

		if (name && xattr_is_kept(name))
			r = metadata_add_xattr(m, name, value, size);
		else
			stats_add(&stats->dropped_xattrs, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *acl_xattr_name(bool defaults)
{
	return defaults ? ACL_DEFAULT : ACL_ACCESS;
}

static int metadata_add_acl(struct metadata *m, bool defaults, const struct acl *acl)
{
	uint8_t blob[ACL_BLOB_MAX];
	size_t size = acl_encode(acl, blob);

	return metadata_add_xattr(m, acl_xattr_name(defaults), blob, size);
}

static int metadata_read_acl(struct archive_entry *entry, struct transfer_stats *stats,
			     bool defaults, struct metadata *m)
{
	struct acl acl;
	int r;

	/*
	 * tar --xattrs-include=* also stores the kernel's form, which has ids where --acls has
	 * names.
	 */
	if (metadata_has_xattr(m, acl_xattr_name(defaults)))
		return 0;
	r = acl_read(entry, defaults, &acl);
	if (r == -EINVAL) {
		stats_add(&stats->dropped_acls, 1);
		return 0;
	}
	if (r < 0)
		return r;
	if (acl_has_names(&acl)) {
		m->named_acls[defaults] = acl;
		return 0;
	}
	if (acl.count > 0)
		r = metadata_add_acl(m, defaults, &acl);
	acl_done(&acl);
	return r;
}

static int metadata_read_acls(struct archive_entry *entry, struct transfer_stats *stats,
			      struct metadata *m)
{
	int types = archive_entry_acl_types(entry);
	int r = 0;

	if (types & ARCHIVE_ENTRY_ACL_TYPE_NFS4)
		stats_add(&stats->dropped_acls, 1);
	if (types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		r = metadata_read_acl(entry, stats, false, m);
	if (r == 0 && (types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT))
		r = metadata_read_acl(entry, stats, true, m);
	return r;
}

static struct timespec metadata_time(int set, time_t seconds, long nanoseconds)
{
	if (!set)
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	return (struct timespec){seconds, MIN(MAX(nanoseconds, 0L), NSEC_MAX)};
}

int metadata_read(struct archive_entry *entry, struct transfer_stats *stats, struct metadata *ret)
{
	struct metadata m = {.mode = archive_entry_mode(entry) & 07777};
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	unsigned long set, clear;
	int r = 0;

	if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
		return -EINVAL;
	m.uid = (uid_t)uid;
	m.gid = (gid_t)gid;
	m.times[0] = metadata_time(archive_entry_atime_is_set(entry), archive_entry_atime(entry),
				   archive_entry_atime_nsec(entry));
	m.times[1] = metadata_time(archive_entry_mtime_is_set(entry), archive_entry_mtime(entry),
				   archive_entry_mtime_nsec(entry));
	archive_entry_fflags(entry, &set, &clear);
	m.flags = (unsigned)set & FLAGS_KEPT;
	if (archive_entry_xattr_count(entry) > 0)
		r = metadata_read_xattrs(entry, stats, &m);
	if (r == 0 && archive_entry_acl_types(entry) != 0)
		r = metadata_read_acls(entry, stats, &m);
	if (r < 0)
		metadata_done(&m);
	else
		*ret = m;
	return r;
}

void metadata_done(struct metadata *m)
{
	for (size_t i = 0; i < m->xattr_count; i++) {
		free(m->xattrs[i].name);
		free(m->xattrs[i].value);
	}
	free(m->xattrs);
	m->xattrs = NULL;
	m->xattr_count = 0;
	acl_done(&m->named_acls[0]);
	acl_done(&m->named_acls[1]);
}

void metadata_forget(struct metadata *m)
{
	m->xattrs = NULL;
	m->xattr_count = 0;
	m->named_acls[0] = m->named_acls[1] = (struct acl){};
}

bool metadata_has_names(const struct metadata *m)
{
	return m->named_acls[0].count > 0 || m->named_acls[1].count > 0;
}

uint64_t metadata_xattr_bytes(const struct metadata *m)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < m->xattr_count; i++)
		bytes += strlen(m->xattrs[i].name) + m->xattrs[i].size;
	for (size_t i = 0; i < ARRAY_SIZE(m->named_acls); i++)
		bytes += m->named_acls[i].count * sizeof(struct ace);
	return bytes;
}

static void ace_resolve(struct ace *ace, const struct accounts *names, const char *path,
			struct transfer_stats *stats)
{
	bool user = ace->tag == ACL_USER;

	if (account_find(user ? &names->users : &names->groups, ace->name, &ace->id) < 0) {
		stats_note(stats,
			   "entry '%.300s': its ACL's %s '%.100s' is not in the image's %s and was "
			   "left out",
			   path, user ? "user" : "group", ace->name,
			   user ? ACCOUNTS_USERS : ACCOUNTS_GROUPS);
		return;
	}
	free(ace->name);
	ace->name = NULL;
}

int metadata_resolve(struct metadata *m, const struct accounts *names, const char *path,
		     struct transfer_stats *stats)
{
	int r = 0;

	for (size_t defaults = 0; r == 0 && defaults < ARRAY_SIZE(m->named_acls); defaults++) {
		struct acl *acl = &m->named_acls[defaults];

		for (size_t i = 0; i < acl->count; i++)
			if (acl->aces[i].name)
				ace_resolve(&acl->aces[i], names, path, stats);
		if (acl->count > 0)
			r = metadata_add_acl(m, defaults, acl);
		acl_done(acl);
	}
	return r;
}

static int metadata_apply_xattr(const struct xattr *x, int fd, struct transfer_stats *stats)
{
	if (fsetxattr(fd, x->name, x->value, x->size, 0) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	stats_add(str_after_prefix(x->name, "system.") ? &stats->dropped_acls
						       : &stats->dropped_xattrs,
		  1);
	return 0;
}

int metadata_apply_xattrs(const struct metadata *m, int fd, struct transfer_stats *stats)
{
	for (size_t i = 0; i < m->xattr_count; i++) {
		int r = metadata_apply_xattr(&m->xattrs[i], fd, stats);

		if (r < 0)
			return r;
	}
	return 0;
}

int metadata_apply_fd(const struct metadata *m, int fd, bool fresh, struct transfer_stats *stats)
{
	bool owner_differs = !fresh || m->uid != 0 || m->gid != 0;
	int r;

	if (owner_differs && fchown(fd, m->uid, m->gid) < 0)
		return -errno;
	if ((!fresh || (m->mode & 07000)) && fchmod(fd, m->mode) < 0)
		return -errno;
	r = metadata_apply_xattrs(m, fd, stats);
	if (r < 0)
		return r;
	return futimens(fd, m->times) < 0 ? -errno : 0;
}

int metadata_apply_at(const struct metadata *m, int dir_fd, const char *name, mode_t type)
{
	if ((m->uid != 0 || m->gid != 0) &&
	    fchownat(dir_fd, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (type != S_IFLNK && (m->mode & 07000) && fchmodat(dir_fd, name, m->mode, 0) < 0)
		return -errno;
	if (utimensat(dir_fd, name, m->times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

int metadata_apply_flags(unsigned flags, int fd, struct transfer_stats *stats)
{
	unsigned now;

	if (ioctl(fd, FS_IOC_GETFLAGS, &now) == 0) {
		now |= flags;
		if (ioctl(fd, FS_IOC_SETFLAGS, &now) == 0)
			return 0;
	}
	if (errno != ENOTTY && errno != EOPNOTSUPP && errno != EPERM)
		return -errno;
	stats_add(&stats->dropped_flags, 1);
	return 0;
}
