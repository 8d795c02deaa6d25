// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * redd login: a login prompt on a new terminal of the machine's: its own getty service where
 * systemd is its init, login(1) elsewhere. Caller's side.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/inside.h"
#include "cli/machines.h"
#include "cli/verbs.h"
#include "lib/fd.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/enter.h"
#include "machine/poweroff.h"
#include "machine/registry.h"
#include "term/session.h"

struct login {
	const struct machine_state *machine;
	struct session session;
	int master, slave;
	unsigned number;
};

/* Asks the guest's systemctl for `verb` on our getty. Its exit code, or -errno. */
static int control_getty(const struct login *login, const char *verb)
{
	autofree char *unit = str_printf("container-getty@%u.service", login->number);
	autofree char *word = strdup(verb);
	char systemctl[] = "systemctl", no_block[] = "--no-block";
	char *argv[] = {systemctl, no_block, word, unit, NULL};
	struct enter_request request = {.argv = argv};

	return unit && word ? inside_run_quietly(login->machine, &request) : log_oom();
}

/*
 * The terminal's number may have been another session's, whose service was restarted without its
 * terminal until systemd would have no more of it: that is forgotten first.
 */
static int start_getty(struct login *login)
{
	int r = control_getty(login, "reset-failed");

	if (r >= 0)
		r = control_getty(login, "restart");
	if (r < 0)
		return r;
	if (r > 0) {
		(void)log_error(-EIO, "machine %s could not start container-getty@%u.service",
				login->machine->name, login->number);
		log_hint("is it still booting? redd shell %s works without its services",
			 login->machine->name);
		return -EIO;
	}
	login->session.getty = true;
	return 0;
}

/* Else it is started again and again without a terminal. */
static void stop_getty(const struct login *login, enum session_end end)
{
	if (login->session.getty && end != SESSION_END_HANGUP)
		(void)control_getty(login, "stop");
}

static int start_login(struct login *login)
{
	char program[] = "login", *argv[] = {program, NULL};
	struct enter_request request = {
		.argv = argv,
		.chdir = "/",
		.stdio = {login->slave, login->slave, login->slave},
		.own_stdio = {true, true, true},
		.new_session = true,
	};

	return inside_enter(login->machine, &request, &login->session.child);
}

static int start(struct login *login)
{
	enum machine_init init;
	int r = machine_open_pty(login->machine, &login->master, &login->slave, &login->number);

	if (r < 0)
		return log_errno(r, "open a terminal in machine %s", login->machine->name);
	r = machine_detect_init(login->machine, &init);
	if (r < 0)
		return log_errno(r, "look at the init of machine %s", login->machine->name);
	r = init == MACHINE_INIT_SYSTEMD ? start_getty(login) : start_login(login);
	if (r < 0)
		return r;
	/* With ours open, the end of theirs would not be seen. */
	(void)close(take_fd(&login->slave));
	login->session.stream = login->master;
	return 0;
}

static int check(const struct machine_state *machine)
{
	if (!session_has_terminal()) {
		(void)log_error(-ENOTTY, "login needs a terminal on standard input and output");
		log_hint("redd shell %s works with pipes", machine->name);
		return -ENOTTY;
	}
	if (!machine->booted) {
		(void)log_error(
			-EOPNOTSUPP,
			"machine %s runs a command, not an init, so it has no login service",
			machine->name);
		log_hint("redd shell %s works", machine->name);
		return -EOPNOTSUPP;
	}
	return inside_protect(machine);
}

int verb_login(const struct cli *cli, int argc, char *argv[])
{
	automachine struct machine_state machine = {};
	struct login login = {.machine = &machine, .master = -1, .slave = -1};
	enum session_end end;
	int r, status;

	r = cli_find_machine(argv[1], &machine);
	if (r >= 0)
		r = check(&machine);
	if (r < 0)
		return cli_exit_code(r);
	login.session = (struct session){.machine = machine.name, .greet = !cli->quiet};
	r = session_block_signals();
	if (r >= 0)
		r = start(&login);
	if (r >= 0)
		r = session_run(&login.session, &end, &status);
	if (r >= 0)
		stop_getty(&login, end);
	cleanup_close(&login.slave);
	cleanup_close(&login.master);
	if (r >= 0 && !cli->quiet)
		(void)fprintf(stderr, "\nConnection to machine %s terminated.\n", machine.name);
	return cli_exit_code(r);
}
