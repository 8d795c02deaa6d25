/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Confines the worker: it can only reach files beneath one directory, with the capabilities, system
 * calls and memory that unpacking a system needs. Quiet. Sources: landlock(7), capabilities(7),
 * seccomp(2).
 */
#pragma once

#include <stdint.h>

/*
 * Closes all descriptors except those in `keep`; 0, 1 and 2 become /dev/null unless kept. Call it
 * before threads exist. 0 or -errno.
 */
int confine_close_fds(const int *keep, unsigned count);

/*
 * Makes this process die with its parent, dump no core, and ignore signals that the parent handles.
 * 0, -EOWNERDEAD if the parent has died already, or -errno.
 */
int confine_process(int parent_pid);

/*
 * Makes allocations beyond that many bytes fail. 0, -EOPNOTSUPP in a build with a sanitizer that
 * takes far more, or -errno.
 */
int confine_memory(uint64_t bytes);

/*
 * Drops all capabilities except those for creating files, from all sets, and sets no_new_privs. 0
 * or -errno.
 */
int confine_drop_capabilities(void);

/*
 * Landlock: from now on this process can open, create, link and remove files only beneath tree_fd.
 * 0, -EOPNOTSUPP if landlock is switched off or can't allow hard links between directories (before
 * Linux 5.19), or -errno.
 */
int confine_to_tree(int tree_fd);

/*
 * seccomp: from now on this process can only make the system calls that unpacking needs, listed in
 * confine_calls.c. Others fail with ENOSYS; calls through another ABI of the processor kill the
 * process. Threads can be created, processes cannot. Needs no_new_privs. 0 or -errno.
 */
int confine_calls(void);
