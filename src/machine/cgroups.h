/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroups of a machine as seen from outside: finding, killing and removing them, and entering
 * them. Every hierarchy has the same path, "/redd/NAME" unless the state says otherwise. Quiet.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * The root of the cgroup2 tree as a directory: where the host shows it, else by a mount of our own
 * that nobody else sees. The same on hybrid hosts, pure ones, and where nothing is mounted. -ENODEV
 * or the like without one.
 */
int cgroups_open_unified(void);

/* Calls fn with the root directory of every mounted v1 hierarchy; a negative return ends it. */
typedef int (*cgroups_v1_fn)(int root_fd, void *userdata);
int cgroups_for_each_v1(cgroups_v1_fn fn, void *userdata);

/* Opens PATH of the cgroup2 tree for reading. */
int cgroups_open(const char *path);
/* The processes directly in a cgroup; 0 is one of another pid namespace. The caller frees. */
int cgroups_read_pids(int cgroup_fd, pid_t **ret, size_t *ret_count);
/* Sends a signal to each process in a cgroup and below. 0 or -errno. */
int cgroups_signal(int cgroup_fd, int signal);

/* Opens (makes) the cgroup2 leaf PATH/enter where entering processes are born. */
int cgroups_open_enter(const char *path);
/* Moves a process of the caller's into PATH of every v1 hierarchy that has it. */
int cgroups_join_v1(const char *path, pid_t pid);

/* Kills what is left in PATH (by cgroup.kill) and removes it with all below, in all hierarchies.
 * 0 also when there was nothing; -EBUSY when processes would not end. */
int cgroups_remove(const char *path);
