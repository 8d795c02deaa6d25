/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removing what supervisors leave, between registry.c and clean.c. All need the lock held. Quiet.
 */
#pragma once

#include <stdint.h>

/*
 * Removes everything a dead supervisor of `name` left but the directory and its lock. Waits so long
 * for what is still ending: -EBUSY, the next one goes on.
 */
int machine_clean_locked(int dir_fd, const char *name, uint64_t timeout_us);
/* Removes the directory itself: first its name, at once, then its files. */
int machine_remove_locked(int registry_fd, const char *name);
/* A name for a directory that is no machine's yet, or any more. NULL: no memory. */
char *machine_hidden_name(const char *name);
