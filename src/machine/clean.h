/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by registry.c and clean.c. The caller holds the machine's lock. Quiet. */
#pragma once

#include <stdint.h>

/*
 * Removes everything that a dead supervisor of `name` left, except the directory and its lock.
 * -EBUSY when processes have not ended after that time; a later call goes on.
 */
int machine_clean_locked(int dir_fd, const char *name, uint64_t timeout_us);
/* Removes the directory: renames it first, which frees the name, then removes its files. */
int machine_remove_locked(int registry_fd, const char *name);
/* A name for a directory that is being made or removed. NULL: no memory. */
char *machine_hidden_name(const char *name);
