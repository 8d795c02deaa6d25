/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new generation of a machine. Loud. */
#pragma once

/*
 * Makes a system the current generation of a machine; a machine that runs keeps its system.
 * `source`: as nix_system_find() takes it; NULL: what was named last time, built again.
 * *ret_system: the store path, a new string.
 */
int nix_update(const char *machine, const char *source, char **ret_system, unsigned *ret_number);
