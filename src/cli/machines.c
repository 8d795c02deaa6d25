// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finding running machines and talking to their supervisors. Caller's side. */
#include "cli/machines.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/host.h"
#include "image/image.h"
#include "image/remove.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/addresses.h"
#include "machine/control.h"
#include "machine/registry.h"

#define CALL_TRIES 250
#define CALL_PAUSE_US (20 * 1000)

static const char *nearest_running(const char *name, struct machine_state *list, size_t count)
{
	const char **names = calloc(count + 1, sizeof(*names)), *near;

	if (!names)
		return NULL;
	for (size_t i = 0; i < count; i++)
		names[i] = list[i].name;
	near = str_nearest(name, names);
	free(names);
	return near;
}

/* `start_helps`: the verb could do its work on a machine that runs. */
static void hint_missing(const char *name, bool start_helps)
{
	struct machine_state *list = NULL;
	struct image *image = NULL;
	size_t count = 0;
	const char *near = NULL;

	if (machine_list(&list, &count) >= 0)
		near = nearest_running(name, list, count);
	if (image_find(name, &image) >= 0)
		log_hint(start_helps
				 ? "there is an image of that name: redd start %s"
				 : "there is an image of that name, and it is off: nothing to do",
			 name);
	else if (near)
		log_hint("did you mean '%s'?", near);
	else
		log_hint("redd list shows the machines that run");
	image_free(image);
	machine_list_free(list, count);
}

void cli_clean_dead(void)
{
	autocall(machine_leftovers_done) struct machine_leftovers left = {};
	uint64_t deadline_us = time_monotonic_us() + MACHINE_CLEAN_BRIEFLY_US;
	int count = geteuid() != 0 ? 0 : machine_clean_dead(MACHINE_CLEAN_BRIEFLY_US, &left);

	/* What this command is about may well be another machine. */
	if (left.names)
		log_warning_errno(left.error,
				  "what a killed supervisor of machine %s left is still there%s; "
				  "`redd clean` waits longer",
				  left.names[0], left.names[1] ? ", and others" : "");
	/* The directory of a machine is the last that its supervisor gives back. */
	if (count <= 0)
		return;
	host_clean_leftovers(deadline_us);
	(void)image_clean_leftovers(IMAGE_CLEAN_SHORT_US);
}

int cli_find_machine(const char *name, struct machine_state *ret)
{
	int dir = cli_open_machine(name, ret);

	if (dir >= 0)
		(void)close(dir);
	return MIN(dir, 0);
}

static int open_machine(const char *name, bool start_helps, struct machine_state *ret)
{
	int r = machine_open(name, ret);

	if (r >= 0)
		return r;
	cli_clean_dead();
	if (r != -ESRCH)
		return log_errno(r, "look up machine %s", name);
	(void)log_error(r, "no machine '%s' is running", name);
	hint_missing(name, start_helps);
	return r;
}

int cli_open_machine(const char *name, struct machine_state *ret)
{
	return open_machine(name, true, ret);
}

int cli_open_machine_to_end(const char *name, struct machine_state *ret)
{
	return open_machine(name, false, ret);
}

static int say_remote(const char *machine, const char *method, const char *error)
{
	if (streq(error, CONTROL_INTERFACE ".NotAvailable"))
		return log_error(-EOPNOTSUPP, "%s: not available for machine %s", method, machine);
	return log_error(-EREMOTE, "%s: the supervisor of machine %s says %s", method, machine,
			 error);
}

int cli_say_ended(const char *machine)
{
	return log_error(-ESRCH, "machine %s has ended meanwhile", machine);
}

/* One try. -ESRCH: nobody listens, -ECONNRESET or -EPIPE: nobody answers. */
static int call_once(int machine_dir, const char *method, struct json_object *parameters,
		     char **ret_error)
{
	struct json_object *reply = NULL;
	autoclose int fd = control_connect(machine_dir);
	int r = fd < 0 ? fd : control_call(fd, method, parameters, &reply, ret_error);

	json_object_put(reply);
	return r;
}

/*
 * A supervisor listens shortly after it can be found, and no more shortly before its end: both pass
 * while we wait.
 */
int cli_call_supervisor(int machine_dir, const char *machine, const char *method,
			struct json_object *parameters)
{
	autofree char *error = NULL;
	int r = -ESRCH;

	for (int i = 0; i < CALL_TRIES; i++) {
		r = call_once(machine_dir, method, parameters, &error);
		if (r != -ESRCH && r != -ECONNRESET && r != -EPIPE)
			break;
		if (!machine_is_alive(machine_dir)) {
			json_object_put(parameters);
			return -ESRCH;
		}
		(void)usleep(CALL_PAUSE_US);
	}
	json_object_put(parameters);
	if (r == -EREMOTE && error)
		return say_remote(machine, method, error);
	return r < 0 ? log_errno(r == -ESRCH ? -EBUSY : r, "call the supervisor of machine %s",
				 machine)
		     : 0;
}

int cli_for_each(const struct cli *cli, int argc, char *argv[],
		 int (*fn)(const struct cli *cli, const char *name))
{
	int result = 0;

	for (int i = 1; i < argc; i++) {
		int r = fn(cli, argv[i]);

		result = r < 0 ? r : result;
	}
	return cli_exit_code(result);
}

void cli_find_addresses(const struct machine_state *machine, bool all, char ***ret)
{
	autostrv char **asked = NULL;

	for (char **address = machine->addresses; address && *address; address++)
		(void)strv_add(ret, *address);
	/* Asking takes a process in the machine's namespace. */
	if (*ret && !all)
		return;
	(void)machine_get_addresses(machine, &asked);
	for (char **address = asked; address && *address; address++)
		if (!strv_contains(*ret, *address))
			(void)strv_add(ret, *address);
}
