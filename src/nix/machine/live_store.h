/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The /nix/store of a running machine. Loud. */
#pragma once

struct machine_state;

/*
 * Makes every path of the system's closure visible in a running machine that booted from the host's
 * store, read-only and locked as those it booted with, and points its /nix/var/nix/profiles/system
 * there. Can be repeated after an interruption. Forks. 0 or -errno.
 */
int nix_live_add_paths(const struct machine_state *machine, const char *system);
