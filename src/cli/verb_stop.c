// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * redd stop, restart, terminate, kill. Must never signal a pid that was not verified. Caller's
 * side.
 */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/machines.h"
#include "cli/verbs.h"
#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/cgroups.h"
#include "machine/control.h"
#include "machine/registry.h"

static int ask_poweroff(const struct cli *cli, const char *name)
{
	automachine struct machine_state machine = {};
	struct json_object *parameters = NULL;
	int r = cli_find_machine(name, &machine);

	if (r < 0)
		return r;
	if (cli->timeout_us != UINT64_MAX) {
		parameters = json_object_new_object();
		(void)json_object_object_add(parameters, "timeoutUSec",
					     json_object_new_uint64(cli->timeout_us));
	}
	return cli_call_supervisor(name, "PowerOff", parameters);
}

static int terminate(const struct cli *cli, const char *name)
{
	automachine struct machine_state machine = {};
	int r = cli_find_machine(name, &machine);

	return r < 0 ? r : cli_call_supervisor(name, "Terminate", NULL);
}

/* All are asked first, so that they stop side by side. */
static int end_all(const struct cli *cli, int argc, char *argv[],
		   int (*ask)(const struct cli *cli, const char *name))
{
	int result = 0;

	for (int i = 1; i < argc; i++) {
		int r = ask(cli, argv[i]);

		if (r < 0) {
			result = r;
			argv[i] = NULL;
		}
	}
	for (int i = 1; i < argc; i++) {
		int r = argv[i] ? machine_wait_end(argv[i]) : 0;

		if (r < 0)
			result = log_errno(r, "wait for the end of machine %s", argv[i]);
	}
	return cli_exit_code(result);
}

int verb_stop(const struct cli *cli, int argc, char *argv[])
{
	return end_all(cli, argc, argv, ask_poweroff);
}

int verb_terminate(const struct cli *cli, int argc, char *argv[])
{
	return end_all(cli, argc, argv, terminate);
}

static int restart(const struct cli *cli, const char *name)
{
	automachine struct machine_state machine = {};
	int r = cli_find_machine(name, &machine);

	return r < 0 ? r : cli_call_supervisor(name, "Reboot", NULL);
}

int verb_restart(const struct cli *cli, int argc, char *argv[])
{
	return cli_for_each(cli, argc, argv, restart);
}

static int kill_leader(const struct machine_state *machine, int signal)
{
	autoclose int pidfd = machine_open_leader(machine);

	return pidfd < 0 ? pidfd : sys_pidfd_send_signal(pidfd, signal);
}

/* Its lock is held, so the pid it wrote there is still its own. */
static int kill_supervisor(const struct machine_state *machine, int signal)
{
	autoclose int pidfd =
		machine->supervisor > 1 ? sys_pidfd_open(machine->supervisor, 0) : -ESRCH;
	automachine struct machine_state again = {};

	if (pidfd < 0)
		return pidfd;
	if (machine_find(machine->name, &again) < 0 || again.supervisor != machine->supervisor)
		return -ESRCH;
	return sys_pidfd_send_signal(pidfd, signal);
}

static int kill_all(const struct machine_state *machine, int signal)
{
	int r;

	if (!machine->cgroup)
		return kill_leader(machine, signal);
	r = cgroups_signal(machine->cgroup, signal);
	return r == -ENOENT ? -ESRCH : r;
}

static const struct kill_whom {
	const char *name;
	int (*kill)(const struct machine_state *machine, int signal);
} whoms[] = {{"all", kill_all}, {"leader", kill_leader}, {"supervisor", kill_supervisor}};

static const struct kill_whom *find_whom(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(whoms); i++) {
		if (streq(whoms[i].name, name))
			return &whoms[i];
	}
	return NULL;
}

static int kill_one(const struct cli *cli, const char *name)
{
	const struct kill_whom *whom = find_whom(cli->kill_whom ? cli->kill_whom : "all");
	automachine struct machine_state machine = {};
	int r = cli_find_machine(name, &machine);

	if (r < 0)
		return r;
	r = whom->kill(&machine, cli->signal > 0 ? cli->signal : SIGTERM);
	return r < 0 ? log_errno(r, "send a signal to the %s of machine %s",
				 streq(whom->name, "all") ? "processes" : whom->name, name)
		     : 0;
}

int verb_kill(const struct cli *cli, int argc, char *argv[])
{
	if (cli->kill_whom && !find_whom(cli->kill_whom)) {
		(void)log_error(-EINVAL, "--kill-whom=%s: leader, supervisor or all",
				cli->kill_whom);
		return CLI_EXIT_USAGE;
	}
	return cli_for_each(cli, argc, argv, kill_one);
}
