// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nix create, update, rollback: what changes the system of a machine. A machine that runs is
 * switched by the guest's own program, which runs inside, confined as everything that enters.
 * Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/inside.h"
#include "cli/nix.h"
#include "cli/verbs.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/enter.h"
#include "machine/registry.h"
#include "nix/machine/create.h"
#include "nix/machine/live.h"
#include "nix/machine/update.h"
#include "nix/nix.h"
#include "settings/value.h"

static int require_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	return log_error(-EPERM, "nix %s needs root: run it again with sudo", verb);
}

static int check_store(const char *text)
{
	enum value_nix_store store;

	if (value_parse_nix_store(text, &store) >= 0 && store != VALUE_NIX_STORE_OWN)
		return 0;
	(void)log_error(-EINVAL, "--store=%s: closure, whole or daemon", text);
	if (streq(text, "own"))
		log_hint("a machine with a store of its own comes from a tarball: redd import-tar");
	return -EINVAL;
}

int verb_nix_create(const struct cli *cli, int argc, char *argv[])
{
	struct nix_create_request request = {
		.name = argv[1],
		.source = argv[2],
		.store = cli->nix_store ? cli->nix_store : "closure",
	};
	autofree char *system = NULL;
	int r;

	if (check_store(request.store) < 0)
		return CLI_EXIT_USAGE;
	r = require_root("create");
	if (r >= 0)
		r = nix_create(&request, &system);
	if (r >= 0 && !cli->quiet)
		log_info("machine %s boots %s: redd start %s", request.name, system, request.name);
	return cli_exit_code(r);
}

/*
 * Runs the new system's switch-to-configuration in a machine that runs. 0, also when it does not
 * run (said); a negative errno (said); else the exit code of switch-to-configuration, explained.
 */
static int switch_running(const char *name, const char *store_path)
{
	automachine struct machine_state machine = {};
	autofree char *program = str_printf("%s/bin/switch-to-configuration", store_path);
	char *argv[] = {program, (char *)"switch", NULL};
	struct enter_request request = {.argv = argv, .chdir = "/"};
	int r = machine_find(name, &machine);

	if (!program)
		return log_oom();
	if (r == -ESRCH) {
		log_info("machine %s does not run: it boots at the next start", name);
		return 0;
	}
	if (r < 0)
		return log_errno(r, "look up machine %s", name);
	r = nix_live_check(&machine);
	/* Must come before any change: it may execute this program again. */
	if (r >= 0)
		r = inside_protect(&machine);
	if (r >= 0)
		r = nix_live_prepare(&machine, store_path);
	if (r < 0)
		return r;
	r = inside_exit_code(inside_run(&machine, &request, false));
	if (r == 0)
		return 0;
	log_warning("machine %s: switch-to-configuration ended with exit code %d: %s", name, r,
		    nix_live_meaning(r));
	log_hint("the generation stays the one that boots next; redd nix rollback %s goes back",
		 name);
	return r;
}

int verb_nix_update(const struct cli *cli, int argc, char *argv[])
{
	const char *name = argv[1];
	autofree char *system = NULL;
	unsigned number;
	int r = require_root("update");

	if (r >= 0)
		r = nix_update(name, argc > 2 ? argv[2] : NULL, &system, &number);
	if (r < 0)
		return cli_exit_code(r);
	if (!cli->quiet)
		log_info("generation %u of %s is %s%s", number, name, system,
			 cli->boot ? "; it boots at the next start" : "");
	r = cli->boot ? 0 : switch_running(name, system);
	return r < 0 ? cli_exit_code(r) : r;
}

int verb_nix_rollback(const struct cli *cli, int argc, char *argv[])
{
	autofree char *store_path = NULL;
	unsigned wanted = 0, number = 0;
	int r;

	if (argc > 2 && nix_parse_generation(argv[2], &wanted) < 0)
		return CLI_EXIT_USAGE;
	r = nix_profile_switch(argv[1], wanted, &number);
	if (r >= 0)
		r = nix_profile_get(argv[1], &store_path, NULL);
	if (r < 0)
		return cli_exit_code(r);
	if (!cli->quiet)
		log_info("machine '%s' is at generation %u", argv[1], number);
	r = switch_running(argv[1], store_path);
	return r < 0 ? cli_exit_code(r) : r;
}
