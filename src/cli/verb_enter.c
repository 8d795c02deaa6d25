// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd shell, redd exec: a program in a machine, as one of its users. Caller's side. */
#include <errno.h>

#include "cli/inside.h"
#include "cli/machines.h"
#include "cli/verbs.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/enter.h"
#include "machine/registry.h"

static int run(const struct cli *cli, const char *name, const char *user, char **command)
{
	automachine struct machine_state machine = {};
	struct enter_request request = {
		.user = user ? user : cli->user,
		.argv = command && *command ? command : NULL,
		.environment = cli->environment,
		.chdir = cli->chdir,
	};
	int r = cli_find_machine(name, &machine);

	if (r < 0)
		return cli_exit_code(r);
	return inside_exit_code(inside_run(&machine, &request, cli->pass_stdio));
}

/* "redd exec NAME -- COMMAND" is what fingers type. */
static char **command_of(char *argv[])
{
	return argv[2] && streq(argv[2], "--") ? argv + 3 : argv + 2;
}

int verb_shell(const struct cli *cli, int argc, char *argv[])
{
	autofree char *user = NULL;
	const char *at = strchr(argv[1], '@');

	if (at && cli->user)
		return cli_exit_code(log_error(-EINVAL, "--uid=%s and '%s' both name a user",
					       cli->user, argv[1]));
	if (at) {
		user = strndup(argv[1], (size_t)(at - argv[1]));
		if (!user)
			return cli_exit_code(log_oom());
	}
	return run(cli, at ? at + 1 : argv[1], user, command_of(argv));
}

int verb_exec(const struct cli *cli, int argc, char *argv[])
{
	char **command = command_of(argv);

	if (!*command) {
		(void)log_error(-EINVAL, "exec: no command is given");
		return CLI_EXIT_USAGE;
	}
	return run(cli, argv[1], NULL, command);
}
