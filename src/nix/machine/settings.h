/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The .nspawn file of a machine that boots a profile of the host's store. Loud. */
#pragma once

struct nix_settings {
	char *path;
	char *old; /* content, NULL: there was no file */
	char *new; /* NULL: nothing to write */
};

/*
 * Reads and checks, writes nothing. -EEXIST when the file has a section [X-Nix] with other values.
 * A new file begins with the redd.nspawn of the system.
 */
int nix_settings_prepare(const char *machine, const char *system, const char *profile,
			 const char *store, struct nix_settings *ret);
int nix_settings_write(const struct nix_settings *settings);
/* Restores the file as it was. Quiet. */
void nix_settings_undo(const struct nix_settings *settings);
void nix_settings_done(struct nix_settings *settings);
