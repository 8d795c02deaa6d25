// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd nix update: a new generation, and the machine that runs switched to it. Caller's side. */
#include <errno.h>
#include <stdio.h>

#include "cli/nix.h"
#include "cli/nix_live.h"
#include "cli/verbs.h"
#include "host/store.h"
#include "image/image.h"
#include "lib/str.h"
#include "log/log.h"
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

/* The system that is asked for, else the one that was asked for last time, built anew. */
static int find_system(const char *name, const char *text, char **ret)
{
	autofree char *source = text ? NULL : nix_source_recall(name);

	if (text || source)
		return nix_system_find(text ? text : source, ret);
	(void)log_error(-EINVAL, "it is not known where the system of %s came from", name);
	log_hint("name it: redd nix update %s SYSTEM", name);
	return -EINVAL;
}

int verb_nix_update(const struct cli *cli, int argc, char *argv[])
{
	const char *name = argv[1];
	autofree char *system = NULL;
	unsigned number;
	int r = nix_require_root("update");

	if (r >= 0)
		r = require_profile(name);
	if (r >= 0)
		r = find_system(name, argc > 2 ? argv[2] : NULL, &system);
	if (r >= 0)
		r = store_check(system);
	if (r >= 0)
		r = nix_profile_set(name, system, &number);
	if (r < 0)
		return cli_exit_code(r);
	if (argc > 2)
		(void)nix_source_remember(name, argv[2]);
	if (!cli->quiet)
		log_info("generation %u of %s is %s%s", number, name, system,
			 cli->boot ? "; it boots at the next start" : "");
	r = cli->boot ? 0 : nix_live_switch(name, system);
	return r < 0 ? cli_exit_code(r) : r;
}
