/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroups of a machine as seen from outside: finding, killing and removing them, and entering
 * them. The path is the same in every hierarchy: cgroups_path_of(), unless the state says
 * otherwise. Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The parent of all machines' cgroups, below the root of each hierarchy. */
#define CGROUPS_PARENT "redd"

/* "/redd/NAME", and what is below it ("/payload", or ""). A new string, NULL without memory. */
char *cgroups_path_of(const char *machine, const char *below);

/*
 * The root directory of the cgroup2 tree: where the host has mounted it, else in a detached mount
 * of our own. The same on hybrid hosts, pure ones, and where nothing is mounted. -ENODEV or the
 * like when the kernel has none.
 */
int cgroups_open_unified(void);

/*
 * Calls fn with the root directory of every v1 hierarchy that is mounted, and of the one of the
 * pids controller; a negative return ends it.
 */
typedef int (*cgroups_v1_fn)(int root_fd, void *userdata);
int cgroups_for_each_v1(cgroups_v1_fn fn, void *userdata);

/*
 * The root directory of the v1 hierarchy with this controller: where the host has mounted it, else
 * in a detached mount of our own. -ENOENT when none has it.
 */
int cgroups_open_v1(const char *controller);

/*
 * Whether the kernel has, or may have, a file of that name in each cgroup directory: a machine of
 * that name could have no cgroup. Source: cgroup-v2.rst, cgroup-v1/cgroups.rst.
 */
bool cgroups_name_is_reserved(const char *name);

/* Opens PATH below a hierarchy's root, never the root itself. Both parts of cgroups use it. */
int cgroups_open_below(int root_fd, const char *path);
/* Opens PATH of the cgroup2 tree for reading. */
int cgroups_open(const char *path);
/* The processes directly in a cgroup; 0 is one of another pid namespace. The caller frees. */
int cgroups_read_pids(int cgroup_fd, pid_t **ret, size_t *ret_count);
/* The same from its open file cgroup.procs, for callers that may run out of descriptors. */
int cgroups_read_procs(int procs_fd, pid_t **ret, size_t *ret_count);
/*
 * Sends a signal to each process directly in a cgroup, however many there are. 0, or the first
 * failure, after which the others still get the signal; an ended process is no failure.
 */
int cgroups_signal_listed(int cgroup_fd, int signal);
/* The same for a cgroup of the cgroup2 tree and all below. SIGKILL reaches frozen processes. */
int cgroups_signal(int cgroup_fd, int signal);

/* Opens (makes) the cgroup2 leaf PATH/enter where entering processes are born. */
int cgroups_open_enter(const char *path);
/*
 * Opens `tasks` of PATH in every v1 hierarchy that has it, for writing: "0" moves the writer.
 * Returns how many, at most `max`, or -errno; the caller closes them.
 */
int cgroups_open_v1_tasks(const char *path, int *ret_fds, size_t max);

/*
 * Kills all processes in PATH (by cgroup.kill), and removes it with all below, in all hierarchies.
 * The timeout is for everything together; with 0, processes are still killed and the removal is
 * tried once. 0 also when there was nothing; -EBUSY when something is left.
 */
int cgroups_remove(const char *path, uint64_t timeout_us);
