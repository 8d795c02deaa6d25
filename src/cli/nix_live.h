/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Switching a running machine to another system. Loud. */
#pragma once

/*
 * After the profile of `machine` was switched to `store_path`: makes its paths visible in the
 * machine that runs, then runs its switch-to-configuration inside, whose output is shown. 0, also
 * when it does not run (said); a negative errno after it was said; else the exit code of
 * switch-to-configuration, explained, to be passed on.
 */
int nix_live_switch(const char *machine, const char *store_path);
