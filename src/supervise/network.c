/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ties the ports, the service on the link, names and the packet filter to the life of a machine and
 * to its boots. Addresses that we leased are known; others are watched inside. Supervisor's side.
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

/* An address inside that the host has no way to yet, since its own end comes up later. */
#define TRY_AGAIN_US (5 * USEC_PER_SEC)
#define TRIES_MAX 12

struct network {
	struct supervisor *s;
	struct ports *ports;
	bool is_up;	   /* links stand: from boot to down */
	bool is_announced; /* the state was written since: changes have to be written, too */
	bool had_ports;	   /* in the packet filter */

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

static int set_rules(void *userdata, const struct net_port *ports, size_t count,
		     const struct net_address *target4, const struct net_address *target6)
{
	struct network *network = userdata;
	struct host *host = &network->s->host;
	struct firewall_rules rules;

	/* What holds without ports has been set when the links were made. */
	if (!network->is_up || (count == 0 && !network->had_ports))
		return 0;
	if (host->firewall_fd < 0)
		host->firewall_fd = firewall_open();
	if (host->firewall_fd < 0)
		return host->firewall_fd;
	host_firewall_rules(host, &rules);
	rules.ports = ports;
	rules.port_count = count;
	rules.target4 = *target4;
	rules.target6 = *target6;
	network->had_ports = count > 0;
	return firewall_set(host->firewall_fd, &rules);
}

/* The state tells what there is, for those who don't ask the supervisor. */
static void announce(struct network *network)
{
	if (network->is_announced)
		(void)supervisor_write_state(network->s, network->s->state.phase);
}

/* What the packet filter does for the machine, besides its ports: `nft list ruleset` tells how. */
static void describe_rules(struct network *network)
{
	const struct supervisor *s = network->s;
	const struct host_network *link = host_network(network);
	const struct {
		bool holds;
		const char *rule;
	} rows[] = {
		{*link->link && s->host.firewall_fd < 0, "none: no packet filter"},
		{link->is_masqueraded && s->host.firewall_fd >= 0, "masquerade"},
		{*link->link && s->spec->check_source && s->host.firewall_fd >= 0, "check-source"},
	};
	char ***list = &network->s->state.network_rules;
	int r = 0;

	*list = strv_free(*list);
	for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
		if (rows[i].holds)
			r = strv_add(list, rows[i].rule);
	if (r < 0)
		(void)log_oom();
}

static void describe_ports(struct network *network)
{
	char ***list = &network->s->state.ports;
	size_t count;
	const struct net_port *ports = ports_get(network->ports, &count);
	char text[NET_PORT_TEXT];
	int r = 0;

	*list = strv_free(*list);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = strv_add(list, net_port_format(&ports[i], text));
	if (r < 0)
		(void)log_oom();
}

static void describe_addresses(struct network *network, const struct net_address *addresses,
			       size_t count)
{
	char ***list = &network->s->state.addresses;
	char text[NET_ADDRESS_TEXT];
	int r = 0;

	*list = strv_free(*list);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = strv_add(list, net_address_format(&addresses[i], text));
	if (r < 0)
		(void)log_oom();
}

static const struct net_address *first_of(const struct net_address *addresses, size_t count,
					  int family)
{
	for (size_t i = 0; i < count; i++)
		if (addresses[i].family == family)
			return &addresses[i];
	return NULL;
}

#define NAME_NOTE "its name is " /* how the note on the name begins */

/*
 * Said once, and again when the reason changes: what becomes of the name depends on /etc/hosts,
 * too, when the addresses change.
 */
static void note_name(struct network *network, const struct net_address *addresses, size_t count)
{
	const char *machine = network->s->spec->machine;
	char ***notes = &network->s->state.network_notes;
	const char *reason = count > 0 ? net_name_conflict(machine, addresses, count) : NULL;
	autostrv char **kept = NULL;
	autofree char *note = NULL;
	int r = 0;

	if (reason)
		note = str_printf(NAME_NOTE "%s" NET_NAMES_SUFFIX " here, and not the bare %s: %s",
				  machine, machine, reason);
	if (reason && !note) {
		(void)log_oom();
		return;
	}
	if (note && !strv_contains(*notes, note))
		log_warning("machine %s: %s", machine, note);
	for (char **old = *notes; old && *old && r >= 0; old++)
		if (!str_after_prefix(*old, NAME_NOTE))
			r = strv_add(&kept, *old);
	if (r >= 0 && note)
		r = strv_add(&kept, note);
	if (r < 0) {
		(void)log_oom();
		return;
	}
	(void)strv_free(*notes);
	*notes = take_ptr(kept);
}

/* The machine's addresses, and nothing else, are these from now on; its ports lead to `targets`. */
static void use_addresses(struct network *network, const struct net_address *addresses,
			  size_t count, const struct net_address *targets, size_t target_count)
{
	int r = net_names_publish(network->s->spec->machine, addresses, count);

	if (r < 0)
		log_warning_errno(r, "publish the name of machine %s", network->s->spec->machine);
	note_name(network, addresses, count);
	describe_addresses(network, addresses, count);
	ports_set_target(network->ports, first_of(targets, target_count, AF_INET),
			 first_of(targets, target_count, AF_INET6));
	announce(network);
}

/* The interface of the host that leads to the machine; NULL: not known (macvlan and others). */
static const char *way_in(const struct network *network)
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

	for (size_t i = 0; i < spec->link_count && !way_in(network); i++) {
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
		if (network_route_leads(&network->seen[i], way_in(network)) &&
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

static int add_note(struct network *network, const char *what, const char *mend)
{
	autofree char *note =
		mend ? str_printf("%s keeps the machine from the world: %s", what, mend)
		     : str_printf("%s keeps the machine from the world", what);

	return note ? strv_add(&network->s->state.network_notes, note) : -ENOMEM;
}

/* Others' rules in the way, and who else serves the link. */
static void note_circumstances(struct network *network)
{
	const struct host_network *link = host_network(network);
	struct machine_state *state = &network->s->state;
	struct firewall_blocker blocker = {};
	size_t port_count;
	int r = 0;

	(void)ports_get(network->ports, &port_count);
	state->network_notes = strv_free(state->network_notes);
	if (link->server == HOST_NETWORK_NETWORKD)
		r = strv_add(&state->network_notes,
			     "systemd-networkd of this host serves the machine's link");
	if (r >= 0 && link->is_masqueraded &&
	    firewall_find_blocker(host_network_address_link(link), port_count > 0, &blocker) > 0) {
		log_warning("machine %s: %s keeps it from the world", state->name, blocker.what);
		if (blocker.mend)
			log_hint("%s", blocker.mend);
		r = add_note(network, blocker.what, blocker.mend);
		firewall_blocker_done(&blocker);
	}
	if (r >= 0)
		r = str_replace(&state->zone, network->s->spec->zone);
	if (r >= 0)
		r = str_replace(&state->bridge, network->s->spec->bridge);
	if (r < 0)
		(void)log_oom();
}

void network_boot(struct network *network)
{
	struct net_address leased[2];
	size_t count;

	if (!network)
		return;
	network->is_up = true;
	network->is_announced = false;
	describe_ports(network);
	describe_rules(network);
	note_circumstances(network);
	if (host_network(network)->server == HOST_NETWORK_REDD)
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
	describe_addresses(network, NULL, 0);
	/* From here on, whoever comes is told at once that nobody is there. */
	ports_set_target(network->ports, NULL, NULL);
	network->is_up = false;
	network->had_ports = false;
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
	if (ports_new(s->loop, s->spec->machine, set_rules, network, &network->ports) < 0) {
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

int network_add_port(struct network *network, const struct net_port *port,
		     struct ports_failure *ret)
{
	int r = network ? ports_try_add(network->ports, port, ret) : -EOPNOTSUPP;

	if (r >= 0) {
		describe_ports(network);
		announce(network);
	}
	return r;
}

int network_remove_port(struct network *network, const struct net_port *port)
{
	int r = network ? ports_remove(network->ports, port) : -EOPNOTSUPP;

	if (r >= 0) {
		describe_ports(network);
		announce(network);
	}
	return r;
}

const struct net_port *network_ports(const struct network *network, size_t *ret_count)
{
	*ret_count = 0;
	return network ? ports_get(network->ports, ret_count) : NULL;
}
