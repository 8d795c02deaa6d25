/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree that an archive is unpacked into, reached through descriptors. Parents are always opened
 * with openat2(2), beneath the root and never through a symbolic link; below a parent only a single
 * name is used. Later entries replace earlier ones. Names must be clean (entry.h). Quiet.
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
	char parent[ENTRY_NAME_SIZE]; /* path of parent_fd, while that is open */
	uint64_t made;		      /* missing parents that were created */
};

/*
 * The place of an entry: a file name in an open directory. The destination owns dir_fd; `name`
 * points into the name that destination_locate() was given.
 */
struct place {
	int dir_fd;
	const char *name;
};

void destination_init(struct destination *to, int root_fd);
void destination_done(struct destination *to);

/*
 * Finds the place of a name other than "". Creates missing parents, 0755. 0, -ELOOP if a parent is
 * a symbolic link, -ENOTDIR if it is another kind of file, or -errno. The place is valid until the
 * next call of this function.
 */
int destination_locate(struct destination *to, const char *name, struct place *ret);

/*
 * Removes the file at `place`, to make room for another entry of that name; a directory only if it
 * is empty. *ret_ino is the inode's number if that was its last name, else 0. 0, -EEXIST for a
 * directory that is not empty, or -errno.
 */
int destination_clear(struct destination *to, const char *name, const struct place *place,
		      uint64_t *ret_ino);

/*
 * Opens a name below the root ("" is the root) without following links. A descriptor, which the
 * caller closes, or -errno: -ELOOP for a link, unless it is the last component and `flags` have
 * O_PATH | O_NOFOLLOW.
 */
int destination_open(const struct destination *to, const char *name, int flags);

/*
 * Creates a hard link at `place` to `target`. A target that is a symbolic link is not followed. 0
 * or -errno.
 */
int destination_link(const struct destination *to, const char *target, const struct place *place);
