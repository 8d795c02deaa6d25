/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Switches a running machine to another system, in three steps: check, prepare, and then run
 * switch-to-configuration in the machine, which the caller does.
 */
#pragma once

struct machine_state;

/* -EOPNOTSUPP when the machine did not boot from the host's store. Loud. */
int nix_live_check(const struct machine_state *machine);
/*
 * Keeps the system from the garbage collector until the next boot, and makes its paths visible in
 * the machine. Loud.
 */
int nix_live_prepare(const struct machine_state *machine, const char *store_path);
/* What a nonzero exit code of switch-to-configuration means, as a clause. */
const char *nix_live_meaning(int exit_code);
