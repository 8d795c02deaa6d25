/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a user gave as SYSTEM of a machine: an update without one builds it again. Quiet. */
#pragma once

/* Makes paths absolute, also those of flakes. */
int nix_source_remember(const char *machine, const char *text);
/* A new string, or NULL. */
char *nix_source_recall(const char *machine);
/* Also forgets the last good system of the machine. */
void nix_source_forget(const char *machine);
