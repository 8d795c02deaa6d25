// SPDX-License-Identifier: LGPL-2.1-or-later
/* Asks btrfs about one subvolume. Must never change anything. Caller's side of clone(). */
#include "image/btrfs.h"

#include <endian.h>
#include <errno.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/time.h"

/* The quota tree's row of the group 0/id, the one that every subvolume has with quotas on. */
static int read_quota(int fd, uint64_t id, uint64_t *ret_bytes)
{
	struct btrfs_ioctl_search_args args = {
		.key =
			{
				.tree_id = BTRFS_QUOTA_TREE_OBJECTID,
				.max_objectid = UINT64_MAX,
				.min_type = BTRFS_QGROUP_INFO_KEY,
				.max_type = BTRFS_QGROUP_INFO_KEY,
				.min_offset = id,
				.max_offset = id,
				.max_transid = UINT64_MAX,
				.nr_items = 1,
			},
	};
	struct btrfs_ioctl_search_header header;
	struct btrfs_qgroup_info_item info;

	if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, &args) < 0)
		return -errno;
	if (args.key.nr_items < 1)
		return -ENODATA;
	memcpy(&header, args.buf, sizeof(header));
	if (header.type != BTRFS_QGROUP_INFO_KEY || header.offset != id ||
	    header.len < sizeof(info))
		return -ENODATA;
	memcpy(&info, args.buf + sizeof(header), sizeof(info));
	*ret_bytes = le64toh(info.rfer);
	return 0;
}

int btrfs_read_subvolume(int fd, struct btrfs_subvolume *ret)
{
	struct btrfs_ioctl_get_subvol_info_args info = {};
	struct btrfs_subvolume s = {.usage_bytes = UINT64_MAX};

	if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
		return -errno;
	s.id = info.treeid;
	s.read_only = info.flags & BTRFS_ROOT_SUBVOL_RDONLY;
	s.created_us = info.otime.sec * USEC_PER_SEC + info.otime.nsec / 1000;
	/* Quotas off, or not permitted to look: the usage is then unknown, which is no error. */
	(void)read_quota(fd, s.id, &s.usage_bytes);
	*ret = s;
	return 0;
}
