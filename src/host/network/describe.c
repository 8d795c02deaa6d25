/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network as one line of a plan. Pure. Supervisor's side. */
#include "host/network/network.h"
#include "lib/str.h"

static void add_end(struct buf *text, const char *what, const struct net_address *address,
		    const struct net_prefix *subnet)
{
	char formatted[NET_ADDRESS_TEXT];

	if (net_address_is_set(address))
		buf_printf(text, ", %s %s/%u", what, net_address_format(address, formatted),
			   subnet->length);
}

static void add_route(struct buf *text, const struct net_address *gateway)
{
	char formatted[NET_ADDRESS_TEXT];

	if (net_address_is_set(gateway))
		buf_printf(text, ", default via %s", net_address_format(gateway, formatted));
}

static void add_addresses(const struct host_network *network, struct buf *text)
{
	const struct net_lease *lease = &network->lease;

	if (network->server == HOST_NETWORK_REDD) {
		add_end(text, "host", &lease->host4, &lease->subnet4);
		add_end(text, "host", &lease->host6, &lease->subnet6);
	}
	add_end(text, "host0", &lease->guest4, &lease->subnet4);
	add_end(text, "host0", &lease->guest6, &lease->subnet6);
	add_route(text, &network->gateway4);
	add_route(text, &network->gateway6);
}

static void add_host0(const struct spec *spec, const struct host_network *network, struct buf *text)
{
	static const char *const servers[] = {
		[HOST_NETWORK_NONE] = "addresses by nobody",
		[HOST_NETWORK_REDD] = "addresses by redd",
		[HOST_NETWORK_NETWORKD] = "addresses by the host's systemd-networkd",
		[HOST_NETWORK_BRIDGE] = "addresses by whoever is on the bridge",
	};

	buf_printf(text, "veth %s to host0", network->link);
	if (network->bridge[0])
		buf_printf(text, ", port of %s %s", spec->zone ? "zone" : "bridge",
			   network->bridge);
	buf_printf(text, ", %s", servers[network->server]);
	add_addresses(network, text);
	if (network->is_masqueraded)
		buf_add_str(text, ", masquerade");
	if (spec->check_source)
		buf_add_str(text, ", check-source");
	if (spec->vlans)
		buf_add_str(text, ", vlans");
}

static void add_link(const struct spec_link *link, struct buf *text)
{
	static const char *const kinds[] = {
		[SPEC_LINK_VETH] = "veth",
		[SPEC_LINK_INTERFACE] = "moves",
		[SPEC_LINK_MACVLAN] = "macvlan on",
		[SPEC_LINK_IPVLAN] = "ipvlan on",
	};

	buf_printf(text, "%s%s %s", text->size > 0 ? "; " : "", kinds[link->kind], link->host);
	if (link->guest)
		buf_printf(text, " %s %s", link->kind == SPEC_LINK_INTERFACE ? "as" : "to",
			   link->guest);
}

const char *network_describe(const struct spec *spec, const struct host_facts *facts,
			     struct plan *plan)
{
	autobuf struct buf text = {};
	const char *line;

	if (spec->netns_path)
		return plan_printf(plan, "joins %s", spec->netns_path);
	if (spec->veth)
		add_host0(spec, &facts->network, &text);
	for (size_t i = 0; i < spec->link_count; i++)
		add_link(&spec->links[i], &text);
	if (text.size == 0)
		return "loopback only";
	line = text.error < 0 ? NULL : plan_str(plan, text.data);
	if (!line)
		plan->error = -ENOMEM;
	return line;
}
