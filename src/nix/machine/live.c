// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Switches a running machine to another system, up to the program of the guest that does it: that
 * one enters the machine, and the caller runs it. Caller's side of clone().
 */
#include "nix/machine/live.h"

#include <errno.h>

#include "lib/macro.h"
#include "log/log.h"
#include "machine/registry.h"
#include "nix/machine/live_store.h"
#include "nix/nix.h"

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

const char *nix_live_meaning(int exit_code)
{
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].code == exit_code)
			return meanings[i].text;
	return "see its output";
}

int nix_live_check(const struct machine_state *machine)
{
	if (machine->nix_store)
		return 0;
	(void)log_error(-EOPNOTSUPP, "machine %s did not boot from the host's store",
			machine->name);
	log_hint("redd restart %s boots the new generation", machine->name);
	return -EOPNOTSUPP;
}

int nix_live_prepare(const struct machine_state *machine, const char *store_path)
{
	int r = nix_root_switched(machine->name, store_path);

	return r < 0 ? r : nix_live_add_paths(machine, store_path);
}
