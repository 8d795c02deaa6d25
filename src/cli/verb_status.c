// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd status, redd show: what is known of running machines. Caller's side. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "cli/guest.h"
#include "cli/machines.h"
#include "cli/nix.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/consolelog.h"
#include "machine/registry.h"
#include "machine/unreaped.h"
#include "net/names.h"
#include "nix/machine/status.h"

#define STATUS_LINES 10

static void print_list(const char *label, char *const *values)
{
	if (!values)
		return;
	field_print(stdout, label, values[0]);
	for (char *const *value = values + 1; *value; value++) {
		autofree char *escaped = str_escape(*value);

		(void)printf("%18s%s\n", "", escaped ? escaped : "");
	}
}

static void print_notes(const struct machine_state *machine)
{
	bool color = text_wants_color(stdout);

	for (char **note = machine->network_notes; note && *note; note++) {
		autofree char *escaped = str_escape(*note);

		(void)printf("%16s: %s%s%s\n", "Note", color ? "\033[1;33m" : "",
			     escaped ? escaped : "", color ? "\033[0m" : "");
	}
}

/* A new string, or NULL. */
static char *dns_name(const struct machine_state *machine)
{
	return machine->addresses ? net_names_published_as(machine->name) : NULL;
}

static void print_network(const struct machine_state *machine)
{
	autofree char *name = dns_name(machine);
	autostrv char **addresses = NULL;
	autofree char *place = str_printf("%s %s", machine->zone ? "zone" : "bridge",
					  machine->zone	    ? machine->zone
					  : machine->bridge ? machine->bridge
							    : "");

	cli_find_addresses(machine, true, &addresses);
	field_print(stdout, "Iface", machine->interface);
	if (machine->zone || machine->bridge)
		field_print(stdout, "Network", place);
	print_list("Address", addresses);
	field_print(stdout, "Name", name);
	print_list("Ports", machine->ports);
	print_notes(machine);
}

static void print_leader(const struct machine_state *machine)
{
	autofree char *name = guest_leader_name(machine);
	autofree char *text = name ? str_printf("%d (%s)", machine->leader, name) : NULL;

	field_print(stdout, "Leader", text);
}

/* An end that takes long must not be a riddle. */
static void print_held(const struct machine_state *machine)
{
	autoleader struct leader leader = {};
	autofree char *holder = NULL;
	struct unreaped unreaped;

	if (leader_open(machine, &leader) < 0 || machine_find_unreaped(&leader, &unreaped) <= 0)
		return;
	holder = machine_describe_unreaped(&unreaped);
	field_print(stdout, "Waits for", holder);
}

static void print_shift(const struct machine_state *machine)
{
	autofree char *text = str_printf("%u", machine->uid_shift);

	if (machine->uid_range > 0)
		field_print(stdout, "UID Shift", text);
}

static void print_console(const struct cli *cli, const struct machine_state *machine)
{
	unsigned lines = cli->lines == UINT32_MAX ? STATUS_LINES : cli->lines;
	autofree char *tail = lines > 0 ? consolelog_tail(machine->name, lines) : NULL;

	if (!str_is_empty(tail))
		(void)printf("\n%s", tail);
}

static void print_state(const struct machine_state *machine)
{
	autofree char *supervisor = str_printf("%d", machine->supervisor);
	autofree char *text = str_printf("%s%s%s", machine_phase_name(machine->phase),
					 machine->ephemeral ? ", ephemeral" : "",
					 machine->managed ? "" : ", in the foreground");

	field_print(stdout, "State", text);
	if (machine->supervisor > 0)
		field_print(stdout, "Supervisor", supervisor);
}

static void print_nix(const struct machine_state *machine)
{
	auto_nix_status struct nix_status info = {};

	if (nix_status_of_machine(machine, &info) >= 0)
		nix_status_print(&info);
}

static void print_status(const struct cli *cli, const struct machine_state *machine)
{
	autofree char *name = str_escape(machine->name),
		      *uuid = str_escape(machine->uuid ? machine->uuid : "");

	(void)printf("%s%s%s%s\n", name ? name : "", str_is_empty(uuid) ? "" : "(",
		     uuid ? uuid : "", str_is_empty(uuid) ? "" : ")");
	field_print_time(stdout, "Since", machine->since_us);
	print_leader(machine);
	print_state(machine);
	print_held(machine);
	field_print(stdout, "Service", "redd; class container");
	field_print(stdout, "Root", machine->image);
	print_network(machine);
	field_print(stdout, "OS", machine->os);
	print_nix(machine);
	print_shift(machine);
	field_print(stdout, "Unit", machine->cgroup);
	guest_print_processes(stdout, machine);
	print_console(cli, machine);
}

static struct json_object *to_json(const struct machine_state *machine)
{
	struct json_object *object = machine_state_to_json(machine), *list;
	autofree char *name = dns_name(machine);
	autostrv char **addresses = NULL;
	auto_nix_status struct nix_status info = {};

	if (nix_status_of_machine(machine, &info) >= 0)
		nix_status_to_json(&info, object);
	list = json_object_new_array();
	cli_find_addresses(machine, true, &addresses);
	for (char **address = addresses; address && *address; address++)
		(void)json_object_array_add(list, json_from_text(*address));
	(void)json_object_object_add(object, "addresses", list);
	(void)json_object_object_add(object, "dnsName", json_from_text(name));
	return object;
}

/* One object for one name, an array for several. */
static int print_json(const struct cli *cli, struct machine_state *list, size_t count, bool array)
{
	struct json_object *all = json_object_new_array(), *one;
	int r;

	for (size_t i = 0; i < count; i++)
		(void)json_object_array_add(all, to_json(&list[i]));
	one = array ? all : json_object_array_get_idx(all, 0);
	r = json_print(stdout, one, cli->json == CLI_JSON_PRETTY);
	json_object_put(all);
	return r < 0 ? log_errno(r, "write standard output") : 0;
}

static int status_one(const struct cli *cli, const char *name)
{
	automachine struct machine_state machine = {};
	int r = cli_find_machine(name, &machine);

	if (r < 0)
		return r;
	if (cli->json != CLI_JSON_OFF)
		return print_json(cli, &machine, 1, false);
	print_status(cli, &machine);
	return 0;
}

int verb_status(const struct cli *cli, int argc, char *argv[])
{
	return cli_for_each(cli, argc, argv, status_one);
}

struct property {
	const char *name; /* as machinectl calls it, where it has one */
	const char *key;  /* of the JSON object */
	void (*format)(struct json_object *value, struct buf *b);
};

static void format_plain(struct json_object *value, struct buf *b)
{
	buf_add_str(b, value ? json_object_get_string(value) : "");
}

static void format_bool(struct json_object *value, struct buf *b)
{
	buf_add_str(b, json_object_get_boolean(value) ? "yes" : "no");
}

static void format_time(struct json_object *value, struct buf *b)
{
	char text[64];

	buf_add_str(b, time_format(json_object_get_uint64(value), text, sizeof(text)));
}

static void format_list(struct json_object *value, struct buf *b)
{
	for (size_t i = 0; value && i < json_object_array_length(value); i++)
		buf_printf(b, "%s%s", i > 0 ? " " : "",
			   json_object_get_string(json_object_array_get_idx(value, i)));
}

static void format_class(struct json_object *value, struct buf *b)
{
	buf_add_str(b, "container");
}

static void format_service(struct json_object *value, struct buf *b)
{
	buf_add_str(b, "redd");
}

static const struct property properties[] = {
	{"Name", "name", format_plain},
	{"Id", "uuid", format_plain},
	{"Timestamp", "sinceUSec", format_time},
	{"Service", NULL, format_service},
	{"Class", NULL, format_class},
	{"Leader", "leader", format_plain},
	{"Supervisor", "supervisor", format_plain},
	{"RootDirectory", "image", format_plain},
	{"ControlGroup", "cgroup", format_plain},
	{"NetworkInterface", "interface", format_plain},
	{"Addresses", "addresses", format_list},
	{"DNSName", "dnsName", format_plain},
	{"Ports", "ports", format_list},
	{"Zone", "zone", format_plain},
	{"Bridge", "bridge", format_plain},
	{"NetworkRules", "networkRules", format_list},
	{"NetworkNotes", "networkNotes", format_list},
	{"State", "phase", format_plain},
	{"OS", "os", format_plain},
	{"Init", "init", format_plain},
	{"UIDShift", "uidShift", format_plain},
	{"UIDRange", "uidRange", format_plain},
	{"Managed", "managed", format_bool},
	{"Ephemeral", "ephemeral", format_bool},
	{"Booted", "booted", format_bool},
	{"PrivateNetwork", "privateNetwork", format_bool},
	{"Boots", "boots", format_plain},
	{"System", "system", format_plain},
	{"NixOSVersion", "nixosVersion", format_plain},
	{"Generation", "generation", format_plain},
	{"BootedGeneration", "bootedGeneration", format_plain},
	{"Store", "store", format_plain},
	{"Problems", "problems", format_list},
};

static void print_property(const struct cli *cli, const struct property *property,
			   struct json_object *object)
{
	struct json_object *value = NULL;
	autofree char *escaped = NULL;
	autobuf struct buf b = {};

	if (property->key)
		(void)json_object_object_get_ex(object, property->key, &value);
	property->format(value, &b);
	escaped = b.data ? str_escape(b.data) : NULL;
	/* As machinectl: what is empty only with --all, or when it was asked for. */
	if (str_is_empty(escaped) && !cli->all && !cli->properties)
		return;
	if (cli->value)
		(void)printf("%s\n", escaped ? escaped : "");
	else
		(void)printf("%s=%s\n", property->name, escaped ? escaped : "");
}

static void show(const struct cli *cli, const struct machine_state *machine)
{
	struct json_object *object = to_json(machine);

	for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
		if (!cli->properties || strv_contains(cli->properties, properties[i].name))
			print_property(cli, &properties[i], object);
	}
	json_object_put(object);
}

static int show_all(const struct cli *cli)
{
	struct machine_state *list;
	size_t count;
	int r = machine_list(&list, &count);

	if (r < 0)
		return log_errno(r, "list the machines in %s", MACHINE_RUN_DIR);
	if (cli->json != CLI_JSON_OFF)
		r = print_json(cli, list, count, true);
	for (size_t i = 0; cli->json == CLI_JSON_OFF && i < count; i++) {
		if (i > 0)
			(void)printf("\n");
		show(cli, &list[i]);
	}
	machine_list_free(list, count);
	return r;
}

static int show_one(const struct cli *cli, const char *name)
{
	automachine struct machine_state machine = {};
	int r = cli_find_machine(name, &machine);

	if (r < 0)
		return r;
	if (cli->json != CLI_JSON_OFF)
		return print_json(cli, &machine, 1, false);
	show(cli, &machine);
	return 0;
}

int verb_show(const struct cli *cli, int argc, char *argv[])
{
	return argc > 1 ? cli_for_each(cli, argc, argv, show_one) : cli_exit_code(show_all(cli));
}
