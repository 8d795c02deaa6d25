/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the packet filter does for a machine, from its spec and the facts: the same for what is set
 * with the links, for the supervisor's ports, and for --explain. Pure. Supervisor's side.
 */
#include "host/network/network.h"

#include <string.h>

/* A single address of a family can be checked; more of them, or what others give, can't. */
static struct net_address checked_address(const struct spec *spec, bool is_known,
					  const struct net_address *address)
{
	size_t count = 0;

	for (size_t i = 0; i < spec->address_count; i++)
		count += spec->addresses[i].address.family == address->family;
	return is_known && count <= 1 ? *address : (struct net_address){};
}

void host_firewall_config(const struct spec *spec, const struct host_network *network,
			  struct firewall_config *ret)
{
	const struct net_lease *lease = &network->lease;
	bool is_redd = network->server == HOST_NETWORK_REDD;

	*ret = (struct firewall_config){
		.machine = spec->machine,
		.link = spec->veth ? network->link : NULL,
		.masquerade = network->is_masqueraded,
		.subnet4 = lease->subnet4,
		.subnet6 = lease->subnet6,
		/* Never on a bridge: whoever else is on it would reach the host's 127.0.0.1. */
		.translates_loopback = spec->veth && !*network->bridge,
		.check_source = spec->check_source,
		.vlans = spec->vlans,
		.serves = is_redd,
		.guest4 = checked_address(spec, is_redd, &lease->guest4),
		.guest6 = checked_address(spec, is_redd, &lease->guest6),
		.host4 = is_redd ? lease->host4 : (struct net_address){},
		.host6 = is_redd ? lease->host6 : (struct net_address){},
		.route_link = host_network_address_link(network),
		.accept_in = network->others.accept_in,
	};
	memcpy(ret->guest_mac, network->guest_mac, ETH_ALEN);
}

int host_print_rules(const struct spec *spec, const struct host_facts *facts, FILE *out)
{
	struct firewall_config config;

	if (!spec->veth && spec->port_count == 0)
		return 0;
	host_firewall_config(spec, &facts->network, &config);
	config.ports = spec->ports;
	config.port_count = spec->port_count;
	config.target4 = facts->network.lease.guest4;
	config.target6 = facts->network.lease.guest6;
	fprintf(out, "packet filter:\n");
	return firewall_print(&config, out);
}
