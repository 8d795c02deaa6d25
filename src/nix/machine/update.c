// SPDX-License-Identifier: LGPL-2.1-or-later
/* A new generation of a machine. Does not touch one that runs. Caller's side of clone(). */
#include "nix/machine/update.h"

#include <errno.h>

#include "host/store.h"
#include "image/image.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/machine/source.h"
#include "nix/nix.h"

static int require_profile(const char *name)
{
	autoimage struct image *image = NULL;
	int r = image_require(name, &image);

	if (r < 0)
		return r;
	r = nix_profile_get(name, NULL, NULL);
	if (r != -ENOENT)
		return r;
	(void)log_error(r, "machine %s has no generations: it does not boot from the host's store",
			name);
	log_hint("redd nix create makes machines that do; in one with a store of its own, run "
		 "nixos-rebuild inside");
	return r;
}

/* The system that is named, else the one that was named last time, built again. */
static int find_system(const char *name, const char *text, char **ret)
{
	autofree char *source = text ? NULL : nix_source_recall(name);

	if (text || source)
		return nix_system_find(text ? text : source, ret);
	(void)log_error(-EINVAL, "it is not known where the system of %s came from", name);
	log_hint("name it: redd nix update %s SYSTEM", name);
	return -EINVAL;
}

int nix_update(const char *machine, const char *source, char **ret_system, unsigned *ret_number)
{
	autofree char *system = NULL;
	int r = require_profile(machine);

	if (r >= 0)
		r = find_system(machine, source, &system);
	if (r >= 0)
		r = store_check(system);
	if (r >= 0)
		r = nix_profile_set(machine, system, ret_number);
	if (r < 0)
		return r;
	if (source)
		(void)nix_source_remember(machine, source);
	*ret_system = take_ptr(system);
	return 0;
}
