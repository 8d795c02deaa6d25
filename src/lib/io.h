/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole reads and writes of files below a directory descriptor. Quiet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads until `size` bytes or end of file, through EINTR. Bytes read, or -errno. */
ssize_t io_read_all(int fd, void *data, size_t size);
/* Writes everything, through EINTR and short writes. 0 or -errno. */
int io_write_all(int fd, const void *data, size_t size);

/*
 * The whole regular file dirfd/path as a NUL-terminated string. Works for /proc files too.
 * Never blocks on a fifo. -EFBIG over `max` bytes, -EBADFD when it is not a regular file.
 * `ret_size` may be NULL. The path must be trusted: use path_open_in_root() for guests' files.
 */
int io_read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size);
/* The same from an open descriptor, from its start. */
int io_read_fd(int fd, size_t max, char **ret, size_t *ret_size);

/* Writes to an existing file (procfs, cgroupfs, sysfs) in one write(2). 0 or -errno. */
int io_write_file_at(int dirfd, const char *path, const char *data);

/*
 * Replaces dirfd/path as a whole: a temporary file beside it, written, then renamed.
 * `durable` adds fsync of file and directory. 0 or -errno; on error the old file is intact.
 */
int io_replace_file_at(int dirfd, const char *path, const char *data, unsigned mode, bool durable);
/* Removes what replacements of dirfd/path left that were killed; none may be under way. */
void io_remove_temporaries_at(int dirfd, const char *path);
