/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying a machine's system to another host, over ssh. Loud. */
#pragma once

#include <stdbool.h>

/*
 * What the machine's profile leads to: sends the paths that HOST hasn't, and makes the machine
 * there
 * ("redd nix create"), or a new generation of it ("redd nix update"). HOST as ssh(1) takes it; what
 * NIX_SSHOPTS has is passed to it. HOST needs nix-store, xargs, redd and an account that may
 * import.
 */
int nix_copy_to(const char *host, const char *machine, bool quiet);
