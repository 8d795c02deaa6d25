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

/* A machine that was looked up, and not a later one of its name. */
struct target {
	int dir; /* -1: nothing more to do */
	struct machine_state state;
};

static int send_to_supervisor(int machine_dir, int pidfd, int signal)
{
	/* It holds the lock: so it is still the process that the descriptor was opened for. */
	if (pidfd >= 0 && !machine_is_alive(machine_dir))
		return -ESRCH;
	return pidfd < 0 ? pidfd : sys_pidfd_send_signal(pidfd, signal);
}

/* A supervisor whose PID 1 does not get to its program answers no calls: a signal ends the start.
 */
static void interrupt_start(const struct target *target)
{
	autoclose int socket = target->state.leader > 0 ? -1 : control_connect(target->dir);
	autoclose int pidfd = socket < 0 ? -ESRCH : control_open_server(socket);

	(void)send_to_supervisor(target->dir, pidfd, SIGTERM);
}

static int ask_poweroff(const struct cli *cli, const struct target *target)
{
	struct json_object *parameters = NULL;

	interrupt_start(target);
	if (cli->timeout_us != UINT64_MAX) {
		parameters = json_object_new_object();
		(void)json_object_object_add(parameters, "timeoutUSec",
					     json_object_new_uint64(cli->timeout_us));
	}
	return cli_call_supervisor(target->dir, target->state.name, "PowerOff", parameters);
}

static int terminate(const struct cli *cli, const struct target *target)
{
	interrupt_start(target);
	return cli_call_supervisor(target->dir, target->state.name, "Terminate", NULL);
}

typedef int (*end_fn)(const struct cli *cli, const struct target *target);

/* One that has ended by itself meanwhile is as it should be. */
static int begin_end(const struct cli *cli, const char *name, end_fn ask, struct target *target)
{
	int r;

	target->dir = cli_open_machine_to_end(name, &target->state);
	if (target->dir < 0)
		return target->dir;
	r = ask(cli, target);
	if (r < 0)
		(void)close(take_fd(&target->dir));
	return r == -ESRCH ? 0 : r;
}

static int wait_end(struct target *target)
{
	autoclose int dir = take_fd(&target->dir);
	int r = dir < 0 ? 0 : machine_wait_end(dir);

	if (r < 0)
		(void)log_errno(r, "wait for the end of machine %s", target->state.name);
	machine_state_done(&target->state);
	return r;
}

/* All are asked first, so that they stop side by side. */
static int end_all(const struct cli *cli, int argc, char *argv[], end_fn ask)
{
	struct target *targets = calloc((size_t)argc, sizeof(*targets));
	int result = 0;

	if (!targets)
		return cli_exit_code(log_oom());
	for (int i = 1; i < argc; i++) {
		int r = begin_end(cli, argv[i], ask, &targets[i]);

		result = r < 0 ? r : result;
	}
	for (int i = 1; i < argc; i++) {
		int r = wait_end(&targets[i]);

		result = r < 0 ? r : result;
	}
	free(targets);
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
	autoclose int dir = cli_open_machine(name, &machine);
	int r = dir < 0 ? dir : cli_call_supervisor(dir, name, "Reboot", NULL);

	return dir >= 0 && r == -ESRCH ? cli_say_ended(name) : r;
}

int verb_restart(const struct cli *cli, int argc, char *argv[])
{
	return cli_for_each(cli, argc, argv, restart);
}

static int kill_leader(int dir, const struct machine_state *machine, int signal)
{
	autoclose int pidfd = machine_open_leader(machine);

	return pidfd < 0 ? pidfd : sys_pidfd_send_signal(pidfd, signal);
}

static int kill_supervisor(int dir, const struct machine_state *machine, int signal)
{
	autoclose int pidfd =
		machine->supervisor > 1 ? sys_pidfd_open(machine->supervisor, 0) : -ESRCH;

	return send_to_supervisor(dir, pidfd, signal);
}

static int kill_all(int dir, const struct machine_state *machine, int signal)
{
	autoclose int cgroup = machine->cgroup ? cgroups_open(machine->cgroup) : -1;

	if (!machine->cgroup)
		return kill_leader(dir, machine, signal);
	/* Looked at afterwards: if it lives, the cgroup is not that of a later machine. */
	if (cgroup == -ENOENT || !machine_is_alive(dir))
		return -ESRCH;
	return cgroup < 0 ? cgroup : cgroups_signal(cgroup, signal);
}

static const struct kill_whom {
	const char *name;
	int (*kill)(int dir, const struct machine_state *machine, int signal);
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
	autoclose int dir = cli_open_machine_to_end(name, &machine);
	int r;

	if (dir < 0)
		return dir;
	r = whom->kill(dir, &machine, cli->signal > 0 ? cli->signal : SIGTERM);
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
