// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd port: the forwarded ports of a running machine, which its supervisor has. Caller's side. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "cli/machines.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/control.h"
#include "machine/registry.h"
#include "net/port.h"
#include "serve/port_owner.h"

/* The machine that was looked up, and not a later one of its name. */
struct opened {
	int dir;
	const char *name;
};

static const struct table_column columns[] = {
	{"PROTOCOL", "protocol", false}, {"ADDRESS", "address", false}, {"PORT", "port", true},
	{"LAST", "last", true},		 {"INSIDE", "inside", true},
};

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

/* Searched for here: the supervisor has a machine to serve. */
static int say_taken(const char *port, struct json_object *parameters)
{
	autofree char *found = NULL;
	const char *owner = text_of(parameters, "owner");
	struct net_port taken = {};

	if (!*owner && net_port_parse(text_of(parameters, "port"), &taken) >= 0) {
		struct port_query query = {.protocol = taken.protocol,
					   .address = taken.bind,
					   .first = taken.first,
					   .last = taken.last};

		(void)port_owner_find(&query, &found);
		owner = found ? found : "";
	}
	return log_error(-EADDRINUSE, "%s: %s by %s", port, text_of(parameters, "reason"),
			 *owner ? owner : "somebody");
}

static int say_failure(const char *machine, const char *port, const char *error,
		       struct json_object *parameters)
{
	if (streq(error, CONTROL_INTERFACE ".PortTaken"))
		return say_taken(port, parameters);
	if (streq(error, CONTROL_INTERFACE ".PortFailed"))
		return log_error(-EADDRINUSE, "%s: %s", port, text_of(parameters, "reason"));
	if (streq(error, CONTROL_INTERFACE ".NoSuchPort")) {
		(void)log_error(-ENOENT, "machine %s has no such port: %s", machine, port);
		log_hint("redd port %s shows those that it has", machine);
		return -ENOENT;
	}
	if (streq(error, CONTROL_INTERFACE ".NotAvailable"))
		return log_error(-EOPNOTSUPP,
				 "%s: machine %s is in the host's network: it has the host's ports",
				 port, machine);
	return log_error(-EREMOTE, "%s: the supervisor of machine %s says %s", port, machine,
			 error);
}

static int call(const struct opened *machine, const char *method, const char *port,
		struct json_object **ret)
{
	struct json_object *parameters = json_object_new_object();
	struct json_object *reply = NULL;
	autofree char *error = NULL;
	autoclose int fd = control_connect(machine->dir);
	int r = fd;

	if (*port)
		(void)json_object_object_add(parameters, "port", json_object_new_string(port));
	if (r >= 0)
		r = control_call(fd, method, parameters, &reply, &error);
	if (r == -EREMOTE && error)
		r = say_failure(machine->name, port, error, reply);
	else if (r < 0 && !machine_is_alive(machine->dir))
		r = cli_say_ended(machine->name);
	else if (r < 0)
		(void)log_errno(r, "call the supervisor of machine %s", machine->name);
	json_object_put(parameters);
	if (r >= 0 && ret)
		*ret = reply;
	else
		json_object_put(reply);
	return r;
}

static void add_row(struct table *t, const char *text)
{
	char address[NET_ADDRESS_TEXT];
	struct net_port port = {};

	if (net_port_parse(text, &port) < 0)
		return;
	(void)net_address_format(&port.bind, address);
	table_add_text(t, port.protocol == IPPROTO_UDP	  ? "udp"
			  : port.protocol == IPPROTO_SCTP ? "sctp"
							  : "tcp");
	table_add_text(t, *address ? address : NULL);
	table_add_u64(t, port.first);
	table_add_u64(t, port.last);
	table_add_u64(t, port.guest_first);
}

static int list(const struct cli *cli, const struct opened *machine, char *ports[])
{
	autotable struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *reply, *items = NULL;
	int r = call(machine, "ListPorts", "", &reply);

	if (r < 0)
		return r;
	(void)json_object_object_get_ex(reply, "ports", &items);
	for (size_t i = 0; items && i < json_object_array_length(items); i++)
		add_row(t, json_object_get_string(json_object_array_get_idx(items, i)));
	json_object_put(reply);
	r = table_print(t, stdout, cli, "port", "ports");
	return r < 0 ? log_errno(r, "write standard output") : 0;
}

/* What can't be read is found before anything is changed. */
static int check_ports(char *ports[])
{
	for (char **port = ports; *port; port++) {
		struct net_port parsed;
		int r = net_port_parse(*port, &parsed);

		if (r == -EPROTONOSUPPORT)
			return log_error(-EINVAL, "%s: unknown protocol; use tcp, udp or sctp",
					 *port);
		if (r < 0)
			return log_error(-EINVAL,
					 "%s: not a port: [tcp:|udp:|sctp:][ADDRESS:]PORT[-LAST]"
					 "[:PORT[-LAST]], such as 8080:80 or udp:53",
					 *port);
	}
	return 0;
}

static int add(const struct cli *cli, const struct opened *machine, char *ports[])
{
	for (char **port = ports; *port; port++) {
		int r = call(machine, "AddPort", *port, NULL);

		if (r < 0)
			return r;
	}
	if (!cli->quiet)
		(void)fprintf(stderr,
			      "Forwarded until machine %s ends. To keep it: Port=%s in section "
			      "[Network] of /etc/systemd/nspawn/%s.nspawn\n",
			      machine->name, ports[0], machine->name);
	return 0;
}

static int remove_ports(const struct cli *cli, const struct opened *machine, char *ports[])
{
	for (char **port = ports; *port; port++) {
		int r = call(machine, "RemovePort", *port, NULL);

		if (r < 0)
			return r;
	}
	return 0;
}

static const struct action {
	const char *name;
	bool takes_ports;
	int (*act)(const struct cli *cli, const struct opened *machine, char *ports[]);
} actions[] = {{"list", false, list}, {"add", true, add}, {"remove", true, remove_ports}};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (streq(actions[i].name, name))
			return &actions[i];
	return NULL;
}

int verb_port(const struct cli *cli, int argc, char *argv[])
{
	const struct action *action = find_action(argc > 2 ? argv[2] : "list");
	automachine struct machine_state machine = {};
	char **ports = argv + MIN(argc, 3);
	struct opened opened;
	autoclose int dir = -1;

	if (!action) {
		(void)log_error(-EINVAL, "port: unknown subcommand \"%s\"; use list, add or remove",
				argv[2]);
		return CLI_EXIT_USAGE;
	}
	if (action->takes_ports != (*ports != NULL)) {
		(void)log_error(-EINVAL,
				action->takes_ports ? "port %s: missing PORT"
						    : "port %s takes no ports",
				action->name);
		return CLI_EXIT_USAGE;
	}
	if (check_ports(ports) < 0)
		return CLI_EXIT_USAGE;
	dir = cli_open_machine(argv[1], &machine);
	opened = (struct opened){.dir = dir, .name = machine.name};
	return cli_exit_code(dir < 0 ? dir : action->act(cli, &opened, ports));
}
