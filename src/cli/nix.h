/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of `redd nix` share. Loud. */
#pragma once

#include "cli/cli.h"

/* 0, or -EPERM (said). */
int nix_require_root(const char *verb);

/* The settings of a machine that boots `profile`; see nix_settings.c. */
struct nix_settings {
	char *path;
	char *old; /* content, NULL: there was no file */
	char *new; /* NULL: nothing to write */
};

/*
 * Reads and checks, writes nothing: -EEXIST (said) when the file says something else. Where there
 * is none, a new one begins with the redd.nspawn of the system.
 */
int nix_settings_prepare(const char *machine, const char *system, const char *profile,
			 const char *store, struct nix_settings *ret);
int nix_settings_write(const struct nix_settings *settings);
/* Back to what it was. */
void nix_settings_undo(const struct nix_settings *settings);
void nix_settings_done(struct nix_settings *settings);

/*
 * What a person gave as SYSTEM is remembered, so that `update` without one builds it again. Paths
 * are made absolute, also that of a flake. Quiet.
 */
int nix_source_remember(const char *machine, const char *text);
char *nix_source_recall(const char *machine);
/* With all else that is remembered of the machine. */
void nix_source_forget(const char *machine);
