/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one resolver of paths beneath an image (openat2). A path inside an image is always a pair
 * (descriptor of the image's root, path); an absolute string into a guest's tree does not exist.
 * Every link met on the way, absolute or with "..", is resolved as if the root were "/";
 * /proc-style magic links are refused. Quiet. Never runs code or modules of the guest.
 * Source: openat2(2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Opens `path` inside `root_fd`, following links within the root. `flags` as open(2); O_CLOEXEC
 * and O_NOCTTY are added, and with O_CREAT the mode is 0644. A descriptor, or -errno: -ENOENT,
 * -ELOOP, -EXDEV (a mount was crossed in a way not allowed), …
 */
int path_open_in_root(int root_fd, const char *path, int flags);
/* As above, but no symbolic link is followed anywhere and the path may not leave the directory. */
int path_open_beneath(int dir_fd, const char *path, int flags);

/*
 * Reads a small regular file of a hostile image: never blocks, never follows a link out, at most
 * `max` bytes (-EFBIG). -EBADFD when it is no regular file. `*ret` is NUL-terminated.
 */
int path_read_in_root(int root_fd, const char *path, size_t max, char **ret, size_t *ret_size);

/* Who owns what path_make_…() creates, and where it may be. */
struct path_making {
	uint32_t uid;
	uint32_t gid;
	bool one_mount; /* only on the mount of root_fd: -EXDEV for a path that leads over another,
			   whether or not it exists */
};

/*
 * Opens (O_PATH) the directory `path` inside the root and makes the missing parts with mode 0755
 * and that owner. -ENOTDIR when something else is in the way. A descriptor or -errno.
 */
int path_make_dir_in_root(int root_fd, const char *path, struct path_making how);
/* The same for an (empty) regular file, its parents made as directories; an O_PATH descriptor. */
int path_make_file_in_root(int root_fd, const char *path, struct path_making how);
/*
 * Splits path into its parent, opened inside the root (made when `make_parents`), and the last
 * component, a pointer into `path`. -EINVAL for "/", "." or "..". Descriptor O_PATH or -errno.
 */
int path_open_parent_in_root(int root_fd, const char *path, bool make_parents,
			     struct path_making how, char **ret_name);

/* "/a/b" with no "//", "/./", "/../", no trailing slash, shorter than PATH_MAX. */
bool path_is_normalized(const char *path);
bool path_is_absolute(const char *path);
/* A new string: squeezes slashes and ".", keeps ".."; NULL when there is no memory. */
char *path_simplify(const char *path);
/* The absolute form of a host path given by a person, from the working directory. 0 or -errno. */
int path_make_absolute(const char *path, char **ret);
/* Pointer to the last component. */
const char *path_last(const char *path);
/* A plain file name: not "", ".", "..", no slash, at most NAME_MAX bytes, no control bytes. */
bool path_name_is_valid(const char *name);
