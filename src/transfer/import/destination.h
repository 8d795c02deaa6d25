/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree that an archive is unpacked into, by descriptor. A parent is always opened with openat2,
 * beneath the root and through no symbolic link; then one plain name is used below it. Later
 * entries replace earlier ones. Names are clean ones (entry.h). Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "transfer/import/entry.h"

struct destination {
	int root_fd; /* not owned */
	int parent_fd;
	char parent[ENTRY_NAME_SIZE]; /* what parent_fd is, while it is open */
	uint64_t made;		      /* missing parents that were created */
};

/* Where an entry goes: a file name in an open directory; the destination owns both. */
struct place {
	int dir_fd;
	const char *name;
};

void destination_init(struct destination *to, int root_fd);
void destination_done(struct destination *to);

/*
 * The place of a name other than "". Missing parents are made, 0755. -ELOOP when a parent is a
 * symbolic link, -ENOTDIR when it is another kind of file. Valid until the next tree_…() call.
 */
int destination_locate(struct destination *to, const char *name, struct place *ret);

/*
 * Removes what is there, to make room for another entry of that name; a directory only if it is
 * empty. *ret_ino is the inode's number if that was its last name, else 0.
 */
int destination_clear(struct destination *to, const char *name, const struct place *place,
		      uint64_t *ret_ino);

/*
 * Opens a name below the root ("" is the root) without following links: -ELOOP for one, unless it
 * is the last part and flags have O_PATH | O_NOFOLLOW. A descriptor or -errno.
 */
int destination_open(const struct destination *to, const char *name, int flags);

/* A hard link at `place` to `target`, itself never followed when it is a link. */
int destination_link(const struct destination *to, const char *target, const struct place *place);
