// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Switching a machine that runs to another system. The program that does it is the guest's: it runs
 * inside, confined as everything that enters. Caller's side.
 */
#include <errno.h>

#include "cli/inside.h"
#include "cli/machines.h"
#include "cli/nix_live.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/enter.h"
#include "machine/registry.h"
#include "nix/nix.h"
#include "supervise/supervise.h"

/* Source: nixpkgs, nixos/modules/system/activation/switch-to-configuration.pl. */
static const struct {
	int code;
	const char *text;
} meanings[] = {
	{1, "it could not begin: see its message"},
	{2, "the activation script failed in part; the rest was done"},
	{3, "systemd could not load its units anew, or systemd-tmpfiles failed"},
	{4, "units failed to start, restart or reload; the configuration is active"},
	{100, "the new systemd can't take over from the old one: redd restart NAME boots it"},
	{127, "it is not there: the system was built without system.switch.enable"},
};

static void explain(const char *machine, int code)
{
	const char *text = "see its output";

	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].code == code)
			text = meanings[i].text;
	log_warning("machine %s: switch-to-configuration ended with exit code %d: %s", machine,
		    code, text);
	log_hint("the generation stays the one that boots next; redd nix rollback %s goes back",
		 machine);
}

static int check_machine(const struct machine_state *machine)
{
	if (machine->nix_store)
		return 0;
	(void)log_error(-EOPNOTSUPP, "machine %s did not boot from the host's store",
			machine->name);
	log_hint("redd restart %s boots the new generation", machine->name);
	return -EOPNOTSUPP;
}

int nix_live_switch(const char *name, const char *store_path)
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
	r = check_machine(&machine);
	/* May execute this program anew: before anything has happened. */
	if (r >= 0)
		r = inside_protect(&machine);
	if (r >= 0)
		r = nix_root_switched(name, store_path);
	if (r >= 0)
		r = supervise_add_store_paths(&machine, store_path);
	if (r < 0)
		return r;
	r = inside_exit_code(inside_run(&machine, &request, false));
	if (r != 0)
		explain(name, r);
	return r;
}
