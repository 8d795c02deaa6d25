/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What machines and images may be called. Pure functions of strings, quiet, caller's side. */
#pragma once

#include <stdbool.h>

#include "lib/machine_name.h"

/* NAME_MAX less the longest affixes that a pool puts around a name (".#import-", ".XXXXXX.raw"). */
#define IMAGE_NAME_MAX 231

/*
 * A plain file name that a pool can hold visibly: valid UTF-8, no control bytes, no slash, no
 * leading dot (those are hidden: locks, things half done), 1 to IMAGE_NAME_MAX bytes.
 */
bool image_name_is_valid(const char *name);

/*
 * The machine name that a path or a file's name suggests: its last component, without ".raw",
 * ".tar", ".tar.gz" and the like, each byte that no machine name can have turned into a dash, cut
 * to MACHINE_NAME_MAX. 0, -EINVAL when nothing useful is left, -ENOMEM. `*ret` is the caller's.
 */
int machine_name_from_path(const char *path, char **ret);
