/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to say of a machine that boots from the host's Nix store. Quiet: see problems. */
#pragma once

#include "lib/cleanup.h"
#include "lib/str.h"

struct image;
struct json_object;
struct machine_state;

struct nix_info {
	char *system;	     /* store path; NULL: it does not boot from the host's store */
	char *version;	     /* of NixOS, or NULL */
	char *store;	     /* "closure", "whole", "daemon" */
	unsigned generation; /* of its profile now; 0: it has none */
	unsigned booted;     /* of a machine that runs: what it booted, 0 where that is not known */
	char **problems;     /* sentences; what would go wrong at the next start, or has */
};

void nix_info_done(struct nix_info *info);
#define auto_nix_info autocall(nix_info_done)

/*
 * The images that have trusted settings, a new strv: no other can boot from the host's store. For
 * lists, which may be long.
 */
char **nix_info_candidates(void);
/* What boots next. `thorough` asks the database, too. */
int nix_info_of_image(const struct image *image, bool thorough, struct nix_info *ret);
/* What runs. */
int nix_info_of_machine(const struct machine_state *machine, struct nix_info *ret);

/* "nixos-system-web-23.11", for people; a pointer into `system`, NULL for NULL. */
const char *nix_info_name(const struct nix_info *info);
/* Lines of a status page. */
void nix_info_print(const struct nix_info *info);
/* system, nixosVersion, generation, bootedGeneration, store, problems; nothing where system is
 * NULL. */
void nix_info_to_json(const struct nix_info *info, struct json_object *object);
