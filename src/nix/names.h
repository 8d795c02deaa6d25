/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names in the store: "hash-name", 32 digits of Nix's base 32, a dash, and 1 to 211 letters, digits
 * and "+-._?=". Names from a database, a program or a user are checked before they become part of
 * a path. Quiet. Source: Nix manual, "Store path".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIX_HASH_LENGTH 32
#define NIX_NAME_MAX (NIX_HASH_LENGTH + 1 + 211)

bool nix_name_is_valid(const char *name);
/* The name in "/nix/store/NAME", a pointer into `path`; NULL when it is anything else. */
const char *nix_name_of_path(const char *path);
/* A new string "/nix/store/NAME", or NULL. */
char *nix_path_of_name(const char *name);

/*
 * "hash-nginx-1.24.0" -> "nginx" (*ret_length bytes at the result) and "1.24.0" (*ret_version, ""
 * when there is none). The version begins after the first dash that no letter follows, as in
 * builtins.parseDrvName.
 */
const char *nix_name_split(const char *name, size_t *ret_length, const char **ret_version);
/* "nixos-system-host-23.11": the part after the hash. */
const char *nix_name_without_hash(const char *name);

/* "system-12-link" -> 12; false for any other name, for 0 and for leading zeros. */
bool nix_generation_of_link(const char *name, unsigned *ret);
