/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nix's own locks, taken as Nix takes them, so that nix-env and nix-store beside us wait for us and
 * we for them. They are flock(2) locks, which die with their holder. Loud.
 * Source: Nix's pathlocks and gc, as strace shows them.
 */
#pragma once

#include "lib/cleanup.h"

/*
 * PROFILE.lock beside the profile `name` in the folder; waits. Nix removes it when it is done,
 * after writing a byte into it, by which a waiter knows that what it locked is no lock any more.
 */
struct nix_profile_lock {
	int dir_fd; /* borrowed: declare the lock behind it, so that it is given up before */
	int fd;	    /* -1: not taken */
	const char *name;
};
int nix_profile_lock(int dir_fd, const char *name, struct nix_profile_lock *ret);
void nix_profile_unlock(struct nix_profile_lock *lock);
#define autoprofilelock autocall(nix_profile_unlock)

/*
 * The collector's lock, shared: as long as the descriptor is open no collection begins. Waits, and
 * says so, for one that runs. A root made meanwhile is seen by the next one; so a path that is
 * valid while it's held, and has a root, stays.
 */
int nix_gc_lock(int *ret_fd);
/*
 * The same for who only reads: where the lock can't be opened (no right to, a read-only store)
 * there is none, and *ret_fd is -1.
 */
int nix_gc_hold(int *ret_fd);
