/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a tree of files by descriptor, depth first, without recursion on the stack and with a
 * bounded number of descriptors at any depth. Quiet. lib/fs.h has the walks that are usual; the
 * cgroups of machines are walked by it too.
 */
#pragma once

/* Every function but `enter` returns 0 or -errno, which ends the walk with that number. */
struct tree_visitor {
	/* Opens the directory dir_fd/name in *ret_fd (readable) and returns 1; 0 passes it over. */
	int (*enter)(void *userdata, int dir_fd, const char *name, int *ret_fd);
	/* Anything that is no directory. */
	int (*file)(void *userdata, int dir_fd, const char *name);
	/* Behind the last entry of dir_fd/name, which is closed. May be NULL. 1: enter it again. */
	int (*leave)(void *userdata, int dir_fd, const char *name);
};

/*
 * Visits the directory dirfd/name (one component) and what is below it. -ESTALE when a directory
 * was moved elsewhere during the walk, so that the way back up is lost.
 */
int tree_walk(int dirfd, const char *name, const struct tree_visitor *visitor, void *userdata);
