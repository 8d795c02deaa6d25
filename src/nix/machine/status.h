/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system of a machine that boots from the host's Nix store. Quiet: what is wrong becomes an
 * entry of `problems`.
 */
#pragma once

#include "lib/cleanup.h"
#include "lib/str.h"

struct image;
struct machine_state;

struct nix_status {
	char *system;	     /* store path; NULL: it does not boot from the host's store */
	char *version;	     /* of NixOS, or NULL */
	char *store;	     /* "closure", "whole", "daemon" */
	unsigned generation; /* current one of its profile; 0: it has no profile */
	unsigned booted;     /* that a running machine booted, 0: not known */
	char **problems; /* sentences; the next start would fail of it, or something has failed */
};

void nix_status_done(struct nix_status *status);
#define auto_nix_status autocall(nix_status_done)

/*
 * Names of machines with trusted settings, a new strv; no other can boot from the host's store.
 * Spares long lists the reading of all settings.
 */
char **nix_status_candidates(void);
/* What an image boots next. `thorough` also asks the database. */
int nix_status_of_image(const struct image *image, bool thorough, struct nix_status *ret);
/* What a machine runs. */
int nix_status_of_machine(const struct machine_state *machine, struct nix_status *ret);
