/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a machine that boots a system of the host's store. Loud. */
#pragma once

struct nix_create_request {
	const char *name;   /* of the machine */
	const char *source; /* the system, as nix_system_find() takes it */
	const char *store;  /* value of Store=: closure, whole or daemon */
};

/*
 * Makes the image, the profile and the settings, all or none. -EEXIST when an image, a profile that
 * redd has not made, or other settings have the name. *ret_system: the store path, a new string.
 */
int nix_create(const struct nix_create_request *request, char **ret_system);
