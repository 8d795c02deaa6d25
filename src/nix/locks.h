/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nix's own locks, taken as Nix takes them, so that nix-env and nix-store wait for redd, and redd
 * for them. They are flock(2) locks, which end with their holder. Loud.
 * Source: Nix's pathlocks and gc, as strace shows them.
 */
#pragma once

#include "lib/cleanup.h"

/*
 * The file NAME.lock next to the profile; waits. When Nix is done it writes a byte into the file
 * and removes it: the byte tells a waiter that the file it has locked is no longer the lock.
 */
struct nix_profile_lock {
	int dir_fd; /* borrowed: declare the lock after it, so that cleanup unlocks first */
	int fd;	    /* -1: not taken */
	const char *name;
};
int nix_profile_lock(int dir_fd, const char *name, struct nix_profile_lock *ret);
void nix_profile_unlock(struct nix_profile_lock *lock);
#define autoprofilelock autocall(nix_profile_unlock)

/*
 * The collector's lock, shared: while the descriptor is open no collection begins. Waits (said) for
 * one that runs. The next collection sees roots made meanwhile: a path that is valid under the
 * lock and has a root stays.
 */
int nix_gc_lock(int *ret_fd);
/*
 * The same for readers. Where the lock can't be opened (no permission, a read-only store) nothing
 * is locked, and *ret_fd is -1.
 */
int nix_gc_hold(int *ret_fd);
