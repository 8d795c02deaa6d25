/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs share that say or ask something of a machine's system. */
#pragma once

struct json_object;
struct nix_status;

/* The number of a generation. -EINVAL (said). */
int nix_parse_generation(const char *text, unsigned *ret);

/* "nixos-system-web-23.11", for people; a pointer into `system`, NULL for NULL. */
const char *nix_status_name(const struct nix_status *status);
/* Lines of a status page. */
void nix_status_print(const struct nix_status *status);
/*
 * Adds system, nixosVersion, generation, bootedGeneration, store and problems; nothing where system
 * is NULL.
 */
void nix_status_to_json(const struct nix_status *status, struct json_object *object);
