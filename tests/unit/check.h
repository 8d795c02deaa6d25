/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Included by every unit test: cmocka with the headers it needs, a scratch directory, and a check
 * for leaked descriptors.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/macro.h"

struct scratch {
	char path[64];
	int fd; /* the directory itself */
	int fds_before;
};

static inline int scratch_setup_below(void **state, const char *base)
{
	struct scratch *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->fds_before = fd_count();
	(void)snprintf(s->path, sizeof(s->path), "%.30s/redd-unit-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(s->path));
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
	*state = s;
	return 0;
}

static inline int scratch_setup(void **state)
{
	return scratch_setup_below(state, getenv("TMPDIR"));
}

/* In memory if possible: for trees that would take minutes on a disk. */
static inline int scratch_setup_in_memory(void **state)
{
	return scratch_setup_below(state, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL);
}

static inline int scratch_teardown(void **state)
{
	struct scratch *s = *state;

	(void)close(s->fd);
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, s->path), 0);
	assert_int_equal(fd_count(), s->fds_before);
	free(s);
	return 0;
}

#define scratch_test(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
#define memory_test(fn)                                                                            \
	cmocka_unit_test_setup_teardown(fn, scratch_setup_in_memory, scratch_teardown)

static inline void write_file(int dirfd, const char *path, const char *data)
{
	autoclose int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, strlen(data)), strlen(data));
}

static inline mode_t mode_of(int dirfd, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode;
}

static inline int exists(int dirfd, const char *path)
{
	return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
