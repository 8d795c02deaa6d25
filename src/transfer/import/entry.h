/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of archive entries, made safe to use beneath a directory. Pure, quiet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* PATH_MAX, including the NUL: the kernel accepts no longer path. */
#define ENTRY_NAME_SIZE 4096

/*
 * Removes leading and trailing slashes, empty components and "."; "" is the root itself. 0, -EXDEV
 * for a name with "..", -ENAMETOOLONG for a name over ENTRY_NAME_SIZE or with a component over
 * NAME_MAX.
 */
int entry_clean_name(const char *raw, char ret[static ENTRY_NAME_SIZE]);

/* True if `path` is `dir` or lies below it. Everything lies below "". */
bool entry_is_below(const char *path, const char *dir);

/* Length of the parent part of a clean name, without its slash; 0 if the name lies in the root. */
size_t entry_parent_length(const char *name);
