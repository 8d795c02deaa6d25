// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd network, redd hosts: who has which addresses. Reads files only. Caller's side. */
#include <errno.h>
#include <stdio.h>

#include "cli/machines.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/registry.h"
#include "net/lease.h"
#include "net/names.h"

static const struct table_column network_columns[] = {
	{"MACHINE", "machine", false}, {"LINK", "link", false},		  {"ZONE", "zone", false},
	{"SUBNET", "subnets", false},  {"ADDRESSES", "addresses", false}, {"PORTS", "ports", false},
	{"RULES", "rules", false},     {NULL, "running", false},
};

struct network {
	struct machine_state *machines;
	size_t machine_count;
	struct net_lease *leases;
	size_t lease_count;
};

static void network_done(struct network *network)
{
	machine_list_free(network->machines, network->machine_count);
	free(network->leases);
}

static const struct net_lease *find_lease(const struct network *network, const char *machine)
{
	for (size_t i = 0; i < network->lease_count; i++)
		if (streq(network->leases[i].machine, machine))
			return &network->leases[i];
	return NULL;
}

static bool runs(const struct network *network, const char *machine)
{
	for (size_t i = 0; i < network->machine_count; i++)
		if (streq(network->machines[i].name, machine))
			return true;
	return false;
}

static void add_subnets(struct table *t, const struct net_lease *lease)
{
	autostrv char **subnets = NULL;
	char text[NET_ADDRESS_TEXT];

	if (lease && net_address_is_set(&lease->subnet4.address))
		(void)strv_add(&subnets, net_prefix_format(&lease->subnet4, text));
	if (lease && net_address_is_set(&lease->subnet6.address))
		(void)strv_add(&subnets, net_prefix_format(&lease->subnet6, text));
	table_add_list(t, subnets);
}

static void add_running(struct table *t, const struct network *network,
			const struct machine_state *machine)
{
	autostrv char **addresses = NULL;

	cli_find_addresses(machine, false, &addresses);
	table_add_text(t, machine->name);
	table_add_text(t, machine->interface);
	table_add_text(t, machine->zone);
	/* One on a bridge of somebody else's has that one's addresses; a lease is of before. */
	add_subnets(t, machine->interface && !machine->bridge ? find_lease(network, machine->name)
							      : NULL);
	table_add_list(t, addresses);
	table_add_list(t, machine->ports);
	table_add_list(t, machine->network_rules);
	table_add_bool(t, true);
}

static void add_kept(struct table *t, const struct net_lease *lease)
{
	autostrv char **addresses = NULL;
	char text[NET_ADDRESS_TEXT];

	if (net_address_is_set(&lease->guest4))
		(void)strv_add(&addresses, net_address_format(&lease->guest4, text));
	if (net_address_is_set(&lease->guest6))
		(void)strv_add(&addresses, net_address_format(&lease->guest6, text));
	table_add_text(t, lease->machine);
	table_add_text(t, NULL);
	table_add_text(t, lease->zone[0] ? lease->zone : NULL);
	add_subnets(t, lease);
	table_add_list(t, addresses);
	table_add_list(t, NULL);
	table_add_list(t, NULL);
	table_add_bool(t, false);
}

static int read_network(struct network *ret)
{
	int r = machine_list(&ret->machines, &ret->machine_count);

	if (r < 0)
		return log_errno(r, "list the machines in %s", MACHINE_RUN_DIR);
	r = net_lease_list(&ret->leases, &ret->lease_count);
	return r < 0 ? log_errno(r, "read %s", NET_LEASE_FILE) : 0;
}

int verb_network(const struct cli *cli, int argc, char *argv[])
{
	autotable struct table *t = table_new(network_columns, ARRAY_SIZE(network_columns));
	autocall(network_done) struct network network = {};
	int r;

	cli_clean_dead();
	r = read_network(&network);
	if (r < 0)
		return cli_exit_code(r);
	for (size_t i = 0; i < network.machine_count; i++)
		add_running(t, &network, &network.machines[i]);
	for (size_t i = 0; cli->all && i < network.lease_count; i++)
		if (!runs(&network, network.leases[i].machine))
			add_kept(t, &network.leases[i]);
	r = table_print(t, stdout, cli, "machine", "machines");
	return r < 0 ? cli_exit_code(log_errno(r, "write standard output")) : 0;
}

static const struct table_column hosts_columns[] = {{NULL, "address", false},
						    {NULL, "name", false}};

/* As lines of hosts(5), or rows of JSON. One that just ends has no address any more. */
static void add_host(struct table *t, const char *name)
{
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	int count = net_names_find(name, addresses);
	bool is_full = str_has_suffix(name, NET_NAMES_SUFFIX);
	char text[NET_ADDRESS_TEXT];

	for (int i = 0; i < count; i++) {
		(void)net_address_format(&addresses[i], text);
		if (!t)
			(void)printf("%s %s%s%s%s\n", text, name, is_full ? "" : " ",
				     is_full ? "" : name, is_full ? "" : NET_NAMES_SUFFIX);
		else {
			table_add_text(t, text);
			table_add_text(t, name);
		}
	}
}

int verb_hosts(const struct cli *cli, int argc, char *argv[])
{
	bool is_json = cli->json != CLI_JSON_OFF;
	autotable struct table *t =
		is_json ? table_new(hosts_columns, ARRAY_SIZE(hosts_columns)) : NULL;
	autostrv char **names = NULL;
	int r = net_names_list(&names);

	if (r < 0)
		return cli_exit_code(log_errno(r, "read the names in %s", NET_NAMES_DIR));
	for (char **name = names; name && *name; name++)
		add_host(t, *name);
	if (is_json)
		r = table_print(t, stdout, cli, NULL, NULL);
	else
		r = fflush(stdout) != 0 ? -errno : 0;
	return r < 0 ? cli_exit_code(log_errno(r, "write standard output")) : 0;
}
