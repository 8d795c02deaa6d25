/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of archive entries, made safe to use beneath a directory. Pure, quiet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* With the NUL; the kernel resolves no longer path in one go. */
#define ENTRY_NAME_SIZE 4096

/*
 * Leading slashes, "//", "." and trailing slashes go; "" is the root itself. 0, -EXDEV for a name
 * with "..", -ENAMETOOLONG for one over ENTRY_NAME_SIZE or with a part over NAME_MAX.
 */
int entry_clean_name(const char *raw, char ret[static ENTRY_NAME_SIZE]);

/* True when `path` is `dir` or lies below it. Everything lies below "". */
bool entry_is_below(const char *path, const char *dir);

/* Length of the parent part of a clean name, without its slash: 0 when it lies in the root. */
size_t entry_parent_length(const char *name);
