// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd console: the boot console, with what it showed before. Caller's side. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/machines.h"
#include "cli/verbs.h"
#include "lib/fd.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/control.h"
#include "machine/registry.h"
#include "term/session.h"

static int attach(int machine_dir, const char *name)
{
	struct json_object *reply = NULL;
	autofree char *error = NULL;
	autoclose int fd = control_connect(machine_dir);
	int r = fd < 0 ? fd : control_call(fd, "AttachConsole", NULL, &reply, &error);

	json_object_put(reply);
	if (r == -EREMOTE) {
		(void)log_error(r, "machine %s has no console to attach to", name);
		log_hint("it was started with its own terminal or with --console=pipe");
		return r;
	}
	if (r < 0 && !machine_is_alive(machine_dir))
		return cli_say_ended(name);
	return r < 0 ? log_errno(r, "attach to the console of machine %s", name) : take_fd(&fd);
}

int verb_console(const struct cli *cli, int argc, char *argv[])
{
	automachine struct machine_state machine = {};
	struct session session = {.framed = true};
	autoclose int dir = cli_open_machine(argv[1], &machine);
	autoclose int fd = -1;
	enum session_end end;
	int r, status;

	if (dir < 0)
		return cli_exit_code(dir);
	fd = attach(dir, machine.name);
	if (fd < 0)
		return cli_exit_code(fd);
	session.machine = machine.name;
	session.stream = fd;
	session.greet = session_has_terminal() && !cli->quiet;
	r = session_block_signals();
	if (r >= 0)
		r = session_run(&session, &end, &status);
	if (r >= 0 && session.greet)
		(void)fprintf(stderr,
			      end == SESSION_END_HANGUP ? "\nThe console of machine %s is closed.\n"
							: "\nDetached from machine %s.\n",
			      machine.name);
	return cli_exit_code(r);
}
