/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying a machine's system to another host, over ssh. Loud. */
#pragma once

#include <stdbool.h>

/*
 * Sends the paths of the machine's current system that HOST lacks, and makes the machine there
 * ("redd nix create"), or a new generation of it ("redd nix update"). HOST is an argument of
 * ssh(1), which also gets the options in NIX_SSHOPTS. HOST needs nix-store, xargs, redd and an
 * account that may import.
 */
int nix_copy_to(const char *host, const char *machine, bool quiet);
