/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system as a tarball, in the layout of nixpkgs' make-system-tarball: the closure below
 * nix/store, nix-path-registration, the system profile's link, sbin/init, etc/os-release. Loud.
 */
#pragma once

#include "transfer/pack/pack.h"

struct nix_pack_request {
	const char *store_path;	  /* of nix_system_find() */
	char *const *contents;	  /* "SOURCE:TARGET"; NULL: none */
	char *const *links;	  /* "TARGET:LINK", a link named LINK to TARGET */
	struct pack_request pack; /* its name and total are filled in */
};

int nix_pack(const struct nix_pack_request *request);
