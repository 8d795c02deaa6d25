/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ties the ports, the service on the link, names and the packet filter to the life of a machine and
 * to its boots. Addresses that we leased are known; others are watched inside. What readers of the
 * machine's state see of it is in network_state.c. Supervisor's side.
 */
#include "supervise/network.h"

#include <errno.h>

#include "firewall/firewall.h"
#include "host/network/network.h"
#include "kernel/rtnl.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "net/names.h"
#include "serve/addresses.h"
#include "serve/link.h"
#include "serve/route.h"
#include "serve/uplinks.h"
#include "supervise/internal.h"
#include "supervise/network_state.h"

/* An address inside that the host has no way to yet, since its own end comes up later. */
#define TRY_AGAIN_US (5 * USEC_PER_SEC)
#define TRIES_MAX 12

struct network {
	struct supervisor *s;
	struct ports *ports;
	bool is_up;	   /* links stand: from boot to down */
	bool is_announced; /* the state was written since: changes have to be written, too */
	struct firewall_config filter; /* what is set in the packet filter in this boot */
	bool has_rules_of_ports;       /* in it */

	struct link_service *service;
	struct uplinks *uplinks;
	struct addresses *watch;
	struct net_address seen[ADDRESSES_REPORTED_MAX]; /* by the watch */
	size_t seen_count;
	struct event_timer again;
	unsigned tries;
};

static const struct host_network *host_network(const struct network *network)
{
	return &network->s->host.facts.network;
}

/* Replaces the machine's rules by those for its ports and their targets as they are now. */
static int set_rules(struct network *network)
{
	struct firewall_config *filter = &network->filter;
	int *firewall = &network->s->host.firewall_fd;

	filter->ports = ports_get(network->ports, &filter->port_count);
	/* What holds without ports has been set when the links were made. */
	if (!network->is_up || (filter->port_count == 0 && !network->has_rules_of_ports))
		return 0;
	if (*firewall < 0)
		*firewall = firewall_open();
	if (*firewall < 0)
		return *firewall;
	network->has_rules_of_ports = filter->port_count > 0;
	return firewall_set(*firewall, filter);
}

/* All ports lead there from now on; NULL: nowhere. */
static void set_targets(struct network *network, const struct net_address *target4,
			const struct net_address *target6)
{
	static const struct net_address none;
	int r;

	network->filter.target4 = target4 ? *target4 : none;
	network->filter.target6 = target6 ? *target6 : none;
	ports_set_target(network->ports, target4, target6);
	r = set_rules(network);
	if (r < 0)
		ports_warn_unfiltered(network->ports, r);
}

/* The state tells what there is, for those who don't ask the supervisor. */
static void announce(struct network *network)
{
	if (network->is_announced)
		(void)supervisor_write_state(network->s, network->s->state.phase);
}

static const struct net_address *first_of(const struct net_address *addresses, size_t count,
					  int family)
{
	for (size_t i = 0; i < count; i++)
		if (addresses[i].family == family)
			return &addresses[i];
	return NULL;
}

/* The machine's addresses, and nothing else, are these from now on; its ports lead to `targets`. */
static void use_addresses(struct network *network, const struct net_address *addresses,
			  size_t count, const struct net_address *targets, size_t target_count)
{
	int r = net_names_publish(network->s->spec->machine, addresses, count);

	if (r < 0)
		log_warning_errno(r, "publish the name of machine %s", network->s->spec->machine);
	network_state_note_name(&network->s->state, addresses, count);
	network_state_set_addresses(&network->s->state, addresses, count);
	set_targets(network, first_of(targets, target_count, AF_INET),
		    first_of(targets, target_count, AF_INET6));
	announce(network);
}

/* The interface of the host that routes to the machine; NULL: unknown (macvlan and others). */
static const char *inner_link(const struct network *network)
{
	const struct host_network *link = host_network(network);

	if (!*link->link)
		return NULL;
	return *link->bridge ? link->bridge : link->link;
}

/*
 * Whether a port may lead there. A macvlan or ipvlan is in one network of the host's, and its guest
 * could otherwise have the host forward what comes from there into any other.
 */
static bool is_target(const struct network *network, const struct net_address *address)
{
	const struct spec *spec = network->s->spec;
	bool is_elsewhere = false;

	for (size_t i = 0; i < spec->link_count && !inner_link(network); i++) {
		const struct spec_link *link = &spec->links[i];

		if (link->kind != SPEC_LINK_MACVLAN && link->kind != SPEC_LINK_IPVLAN)
			continue;
		if (network_route_leads(address, link->host))
			return true;
		is_elsewhere = true;
	}
	return !is_elsewhere;
}

struct leases {
	struct net_lease *list;
	size_t count;
};

/* Of a machine that doesn't run, too: it may be started any time. */
static bool is_anothers(const struct network *network, const struct leases *leases,
			const struct net_address *address)
{
	const struct spec *spec = network->s->spec;

	for (size_t i = 0; i < leases->count; i++)
		if (!streq(leases->list[i].machine, spec->machine) &&
		    net_lease_has(&leases->list[i], spec->zone, address))
			return true;
	return false;
}

/* The guest may say anything: what is somebody else's is neither published nor a port's target. */
static void use_seen(struct network *network)
{
	struct net_address good[ADDRESSES_REPORTED_MAX], targets[ADDRESSES_REPORTED_MAX];
	autofree struct net_lease *list = NULL;
	size_t count = 0, target_count = 0;
	struct leases leases = {};

	(void)net_lease_list(&list, &leases.count);
	leases.list = list;
	for (size_t i = 0; i < network->seen_count; i++)
		if (network_route_leads(&network->seen[i], inner_link(network)) &&
		    !is_anothers(network, &leases, &network->seen[i]))
			good[count++] = network->seen[i];
	for (size_t i = 0; i < count; i++)
		if (is_target(network, &good[i]))
			targets[target_count++] = good[i];
	use_addresses(network, good, count, targets, target_count);
	if (count < network->seen_count && network->tries++ < TRIES_MAX)
		event_arm_timer(network->s->loop, &network->again,
				time_monotonic_us() + TRY_AGAIN_US);
}

static int on_try_again(struct event_loop *loop, void *userdata)
{
	use_seen(userdata);
	return 0;
}

static void on_addresses(void *userdata, const struct net_address *addresses, size_t count)
{
	struct network *network = userdata;

	memcpy(network->seen, addresses, count * sizeof(*addresses));
	network->seen_count = count;
	network->tries = 0;
	event_disarm_timer(network->s->loop, &network->again);
	use_seen(network);
}

static void watch_addresses(struct network *network)
{
	struct supervisor *s = network->s;
	struct addresses_sockets sockets;
	int r = addresses_open(s->leader_fd, &sockets);

	if (r >= 0)
		r = addresses_new(s->loop, &sockets, on_addresses, network, &network->watch);
	/* A payload that has ended already has no addresses. */
	if (r < 0 && r != -ESRCH)
		log_warning_errno(r,
				  "watch the addresses of machine %s: its name and its ports lead "
				  "nowhere",
				  s->spec->machine);
}

static void serve_link(struct network *network)
{
	const struct supervisor *s = network->s;
	const struct host_network *link = host_network(network);
	const struct link_service_options options = {
		.machine = s->spec->machine,
		.link = link->link,
		.address_link = host_network_address_link(link),
		.host_mac = link->router_mac,
		.guest_mac = link->guest_mac,
		.lease = &link->lease,
		.name_servers = s->spec->name_server_count > 0 ? s->spec->name_servers : NULL,
		.name_server_count = s->spec->name_server_count,
		.has_no_filter = s->host.firewall_fd < 0,
	};

	(void)link_service_new(s->loop, &options, &network->service);
}

/* By us or, on somebody's bridge, by Address=. */
static size_t leased_addresses(const struct network *network, struct net_address ret[2])
{
	const struct net_lease *lease = &host_network(network)->lease;
	size_t count = 0;

	if (net_address_is_set(&lease->guest4))
		ret[count++] = lease->guest4;
	if (net_address_is_set(&lease->guest6))
		ret[count++] = lease->guest6;
	return count;
}

static bool can_have_addresses(const struct spec *spec)
{
	return spec->veth || spec->netns_path || spec->link_count > 0;
}

static void describe_ports(struct network *network)
{
	size_t count;
	const struct net_port *ports = ports_get(network->ports, &count);

	network_state_set_ports(&network->s->state, ports, count);
}

void network_boot(struct network *network)
{
	const struct host_network *link;
	struct net_address leased[2];
	size_t count;

	if (!network)
		return;
	link = host_network(network);
	host_firewall_config(network->s->spec, link, &network->filter);
	network->filter.accept_in = 0; /* set with the links, and not replaced */
	network->is_up = true;
	network->is_announced = false;
	describe_ports(network);
	network_state_describe(&network->s->state, network->s->spec, link,
			       network->s->host.firewall_fd >= 0);
	if (link->server == HOST_NETWORK_REDD)
		serve_link(network);
	count = leased_addresses(network, leased);
	if (count > 0)
		use_addresses(network, leased, count, leased, count);
	else if (can_have_addresses(network->s->spec))
		watch_addresses(network);
	/* The caller writes the state next. */
	network->is_announced = true;
}

void network_down(struct network *network)
{
	if (!network || !network->is_up)
		return;
	event_disarm_timer(network->s->loop, &network->again);
	addresses_free(take_ptr(network->watch));
	link_service_free(take_ptr(network->service));
	net_names_withdraw(network->s->spec->machine);
	network->is_announced = false;
	network_state_set_addresses(&network->s->state, NULL, 0);
	/* From here on, whoever comes is told at once that nobody is there. */
	set_targets(network, NULL, NULL);
	network->is_up = false;
	network->has_rules_of_ports = false;
}

/* What comes up later, as wireless does, must be forwarded to as what was there at the start. */
static void on_uplink(void *userdata)
{
	struct network *network = userdata;
	const struct host_network *link = host_network(network);
	autoclose int rtnl = -1;

	if (!network->is_up || link->server != HOST_NETWORK_REDD)
		return;
	rtnl = rtnl_open();
	if (rtnl >= 0)
		network_forward_begin(rtnl, network->s->spec->machine, link->has_ipv6);
}

/* Before the boot, whose own look at what is there leaves no gap so. */
static void watch_uplinks(struct network *network)
{
	const struct supervisor *s = network->s;
	int r = s->spec->veth ? uplinks_new(s->loop, network_is_of_host, on_uplink, network,
					    &network->uplinks)
			      : 0;

	if (r < 0)
		log_warning_errno(r,
				  "watch the host's interfaces for machine %s: those that come up "
				  "later are not forwarded to",
				  s->spec->machine);
}

static int take_ports(struct network *network)
{
	const struct supervisor *s = network->s;
	int r = 0;

	for (size_t i = 0; i < s->spec->port_count && r >= 0; i++)
		r = ports_add(network->ports, &s->spec->ports[i], s->spec->port_origins[i]);
	return r;
}

int network_new(struct supervisor *s, struct network **ret)
{
	struct network *network;
	int r = 0;

	*ret = NULL;
	if (!s->spec->private_network)
		return 0;
	network = calloc(1, sizeof(*network));
	if (!network)
		return log_oom();
	network->s = s;
	network->again = (struct event_timer){
		.due_us = USEC_INFINITY, .fn = on_try_again, .userdata = network};
	if (ports_new(s->loop, s->spec->machine, &network->ports) < 0) {
		free(network);
		return log_oom();
	}
	/* Another machine that wants one of them learns whose it is from the state. */
	if (s->spec->port_count > 0)
		r = supervisor_write_state(s, MACHINE_PHASE_STARTING);
	if (r >= 0)
		r = take_ports(network);
	if (r < 0) {
		network_free(network);
		return r;
	}
	watch_uplinks(network);
	*ret = network;
	return 0;
}

void network_free(struct network *network)
{
	const struct spec *spec;

	if (!network)
		return;
	spec = network->s->spec;
	network_down(network);
	uplinks_free(network->uplinks);
	ports_free(network->ports);
	/* A name that was drawn for one run never comes back. */
	if (spec->ephemeral && !spec->managed)
		(void)net_lease_forget(spec->machine);
	free(network);
}

static void announce_ports(struct network *network)
{
	describe_ports(network);
	announce(network);
}

int network_add_port(struct network *network, const struct net_port *port,
		     struct ports_failure *ret)
{
	int r = network ? ports_try_add(network->ports, port, ret) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	r = set_rules(network);
	if (r < 0 && ports_needs_filter(port))
		return ports_refuse_last(network->ports, r, ret);
	if (r < 0)
		ports_warn_unfiltered(network->ports, r);
	announce_ports(network);
	return 0;
}

int network_remove_port(struct network *network, const struct net_port *port)
{
	int r = network ? ports_remove(network->ports, port) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	r = set_rules(network);
	if (r < 0)
		ports_warn_unfiltered(network->ports, r);
	announce_ports(network);
	return 0;
}

const struct net_port *network_ports(const struct network *network, size_t *ret_count)
{
	*ret_count = 0;
	return network ? ports_get(network->ports, ret_count) : NULL;
}
