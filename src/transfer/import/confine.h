/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a transfer worker may still do: files beneath one directory, with the capabilities, system
 * calls and memory that making a system's files needs. Quiet. Sources: landlock(7),
 * capabilities(7), seccomp(2).
 */
#pragma once

#include <stdint.h>

/*
 * Closes all descriptors but those in `keep`; 0, 1 and 2 become /dev/null unless kept. To be
 * called before threads exist. 0 or -errno.
 */
int confine_close_fds(const int *keep, unsigned count);

/* Dies with the parent; makes no core; ignores the signals that are the parent's to act on. */
int confine_process(int parent_pid);

/*
 * Allocations beyond that many bytes fail. 0, -EOPNOTSUPP in a build whose sanitizer takes far
 * more, or -errno.
 */
int confine_memory(uint64_t bytes);

/* Drops every capability but those for making files, from all sets, and sets no_new_privs. */
int confine_drop_capabilities(void);

/*
 * Landlock: from now on this process opens, makes, links and removes files beneath tree_fd only.
 * 0, or -EOPNOTSUPP where the kernel has none that allows hard links between directories (before
 * 5.19, or switched off).
 */
int confine_to_tree(int tree_fd);

/*
 * From now on only the system calls that unpacking needs, confine_calls.c; the others fail with
 * ENOSYS, and those of another ABI of the processor kill. Threads can be made, processes not. Needs
 * no_new_privs. 0 or -errno.
 */
int confine_calls(void);
