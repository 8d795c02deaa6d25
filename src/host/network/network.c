/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's network: the host's, none but loopback, host0 (a veth pair; alone, on a bridge, or
 * on a zone's), more veth pairs, macvlan, ipvlan, interfaces of the host, or a namespace that is
 * there already. The parts are in network_*.c. Supervisor's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ip.h>

#include "firewall/firewall.h"
#include "host/network/network.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

bool host_network_has_work(const struct spec *spec)
{
	return spec->private_network &&
	       (spec->veth || spec->netns_path || spec->link_count > 0 || spec->port_count > 0);
}

static bool lends_links(const struct spec *spec)
{
	for (size_t i = 0; i < spec->link_count; i++)
		if (spec->links[i].kind == SPEC_LINK_INTERFACE)
			return true;
	return false;
}

static int network_begin(struct host *host)
{
	return host->spec->netns_path ? network_open_given(host) : 0;
}

static int network_prepare(struct host *host)
{
	const struct spec *spec = host->spec;

	/* A killed supervisor of this name may still have them: they would not be found. */
	if (lends_links(spec) && !host->only_looks) {
		(void)network_return_links(spec->machine);
		host->home_mount_ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (host->home_mount_ns_fd < 0)
			return log_errno(-errno, "open /proc/self/ns/mnt");
	}
	return network_find_facts(host);
}

static void network_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_AWAIT, .stage = PLAN_STAGE_SETUP,
		 .out = host_holder_makes_cgroupns(facts) ? PLAN_SLOT_CGROUPNS : PLAN_SLOT_NONE);
	if (!host_network_has_work(spec))
		return;
	PLAN_ADD(plan, .kind = PLAN_OP_HOST, .stage = PLAN_STAGE_SETUP, .path = "network",
		 .in = PLAN_SLOT_HOLDER, .data = network_describe(spec, facts, plan));
}

static int log_link(const char *name, const char *kind, int error)
{
	if (error == -EEXIST)
		return log_error(error,
				 "make interface %s: there is one of that name already, which is "
				 "not ours. Remove it (ip link delete %s), or start without",
				 name, name);
	if (error == -EOPNOTSUPP)
		return log_error(error,
				 "make interface %s: this kernel has no %s (module %s). Start "
				 "without it",
				 name, kind, kind);
	return log_errno(error, "make interface %s", name);
}

/* The bridge must have its port before the lock is released, or it would look unused. */
static int make_host0_in_zone(int rtnl, struct host *host)
{
	struct host_network *network = &host->facts.network;
	struct network_link bridge = {};
	autoclose int lock = -1;
	autoclose int dir = network_lock(&lock);
	int r;

	if (dir < 0)
		return log_errno(dir, "lock " NETWORK_DIR);
	r = network_make_zone(rtnl, host, &bridge);
	if (r < 0)
		return r;
	/* A bridge that existed already has an address of its own. */
	memcpy(network->router_mac, bridge.mac, ETH_ALEN);
	r = network_make_host0(rtnl, host, &bridge);
	return r < 0 ? log_link(network->link, "veth", r) : 0;
}

static int make_host0(int rtnl, struct host *host)
{
	struct host_network *network = &host->facts.network;
	struct network_link bridge = {};
	int r = 0;

	if (host->spec->zone) {
		r = make_host0_in_zone(rtnl, host);
	} else {
		if (host->spec->bridge)
			r = network_find_link(rtnl, network->bridge, &bridge);
		if (r >= 0)
			r = network_make_host0(rtnl, host, host->spec->bridge ? &bridge : NULL);
		if (r < 0)
			r = log_link(network->link, "veth", r);
	}
	host->has_interface = r >= 0;
	return r;
}

/* Numbers links within each kind, as systemd-nspawn does: their addresses depend on it. */
static int make_links(int rtnl, struct host *host)
{
	static const struct {
		int (*make)(int, const struct host *, const struct spec_link *, uint64_t);
		const char *name;
	} kinds[] = {
		[SPEC_LINK_VETH] = {network_make_veth, "veth"},
		[SPEC_LINK_MACVLAN] = {network_make_vlan, "macvlan"},
		[SPEC_LINK_IPVLAN] = {network_make_vlan, "ipvlan"},
	};
	uint64_t numbers[ARRAY_SIZE(kinds)] = {};
	const struct spec *spec = host->spec;

	for (size_t i = 0; i < spec->link_count; i++) {
		const struct spec_link *link = &spec->links[i];
		int r;

		host->links_made = i + 1;
		if (!kinds[link->kind].make)
			continue;
		r = kinds[link->kind].make(rtnl, host, link, numbers[link->kind]++);
		if (r < 0)
			return log_link(link->kind == SPEC_LINK_VETH ? link->host : link->guest,
					kinds[link->kind].name, r);
	}
	return network_lend_links(rtnl, host);
}

/* Warn once per family: a failure here is hard to diagnose. */
static void prepare_own_link(int rtnl, const struct host *host)
{
	const struct host_network *network = &host->facts.network;
	const char *name = host_network_address_link(network);
	struct network_link link = {};
	bool forwards = network->server == HOST_NETWORK_REDD;
	int r = network_find_link(rtnl, name, &link);

	if (r >= 0 && forwards)
		r = network_set_conf4(rtnl, link.index, IPV4_DEVCONF_FORWARDING, 1);
	if (r >= 0)
		r = network_set_conf4(rtnl, link.index, IPV4_DEVCONF_ACCEPT_REDIRECTS, 0);
	if (r < 0)
		log_warning_errno(r, "let the host forward what comes from %s", name);
	r = network->has_ipv6 ? network_forward_link6(name, forwards) : 0;
	if (r < 0)
		log_warning_errno(r,
				  "write /proc/sys/net/ipv6/conf/%s: the machine's IPv6 is not "
				  "forwarded, and the host may take its router advertisements",
				  name);
}

static int set_filter(struct host *host, struct firewall_config *config)
{
	int r;

	host->firewall_fd = firewall_open();
	if (host->firewall_fd < 0)
		return host->firewall_fd;
	r = firewall_set(host->firewall_fd, config);
	host->has_others = r >= 0 && config->accept_in != 0;
	if (r >= 0 || config->accept_in == 0)
		return r;
	/* Others have changed their chains since: the machine's own tables don't need them. */
	log_warning_errno(r, "let %s through the chain FORWARD of iptables", config->route_link);
	config->accept_in = 0;
	return firewall_set(host->firewall_fd, config);
}

/* With the links, because the guest must not run before its source is checked. */
static void filter(int rtnl, struct host *host)
{
	struct network_link link = {};
	struct firewall_config config;
	int r;

	host_firewall_config(host->spec, &host->facts.network, &config);
	r = set_filter(host, &config);
	if (r < 0) {
		log_warning_errno(r,
				  "set the packet filter of machine %s: its addresses are not "
				  "masqueraded, and what it sends is not checked",
				  host->spec->machine);
		if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT)
			log_hint("this kernel has no nf_tables (modules nf_tables, nft_nat, …)");
		if (host->firewall_fd >= 0)
			(void)close(take_fd(&host->firewall_fd));
		return;
	}
	/* Ports of 127.0.0.1 lead to the machine; the filter keeps it from going there itself. */
	if (config.translates_loopback && network_find_link(rtnl, config.link, &link) >= 0)
		(void)network_set_conf4(rtnl, link.index, IPV4_DEVCONF_ROUTE_LOCALNET, 1);
}

static int attach_host0(int rtnl, struct host *host)
{
	const struct host_network *network = &host->facts.network;
	int r = make_host0(rtnl, host);

	if (r < 0)
		return r;
	if (!host->spec->bridge)
		prepare_own_link(rtnl, host);
	r = network_configure_host(rtnl, host);
	if (r >= 0)
		r = network_configure_guest(host);
	if (r >= 0 && network->server == HOST_NETWORK_REDD)
		network_forward_begin(rtnl, host->spec->machine, network->has_ipv6);
	return r;
}

static int open_inside(struct host *host)
{
	autoclose int netns = network_open_netns_of(host->holder_pid);

	host->guest_rtnl_fd = netns < 0 ? netns : network_open_socket_in(netns, NETLINK_ROUTE);
	if (host->guest_rtnl_fd < 0)
		return log_errno(host->guest_rtnl_fd, "look into the network of machine %s",
				 host->spec->machine);
	return 0;
}

/* Only for a joined namespace: the holder does it in one of our own. A failure is not an error. */
static void set_loopback_up(const struct host *host)
{
	struct network_link link = {};

	if (network_find_link(host->guest_rtnl_fd, "lo", &link) >= 0)
		(void)network_set_up(host->guest_rtnl_fd, link.index);
}

static int network_attach(struct host *host)
{
	const struct spec *spec = host->spec;
	autoclose int rtnl = -1;
	int r;

	rtnl = rtnl_open();
	r = rtnl < 0 ? log_errno(rtnl, "open an rtnetlink socket") : open_inside(host);
	if (r >= 0 && spec->netns_path)
		set_loopback_up(host);
	if (r >= 0 && spec->veth)
		r = attach_host0(rtnl, host);
	if (r >= 0 && spec->link_count > 0)
		r = make_links(rtnl, host);
	if (r < 0)
		return r;
	if (spec->veth || spec->port_count > 0)
		filter(rtnl, host);
	return 0;
}

/* The end of the namespace removes them too, but later: names and addresses must be free now. */
static void remove_links(int rtnl, const struct host *host)
{
	const struct spec *spec = host->spec;
	struct network_link inside = {};

	for (size_t i = 0; i < host->links_made; i++) {
		const struct spec_link *link = &spec->links[i];

		if (link->kind == SPEC_LINK_VETH)
			(void)network_remove_own(rtnl, spec->machine, link->host);
		else if (link->kind != SPEC_LINK_INTERFACE &&
			 network_find_link(host->guest_rtnl_fd, link->guest, &inside) >= 0)
			(void)network_remove_link(host->guest_rtnl_fd, inside.index);
	}
	if (host->has_interface)
		(void)network_remove_own(rtnl, spec->machine, host->facts.network.link);
}

static void give_back(struct host *host)
{
	const struct spec *spec = host->spec;
	autoclose int rtnl = rtnl_open();
	int r = rtnl;

	if (host->has_others)
		r = MIN(r, firewall_close_others(spec->machine));
	if (lends_links(spec))
		r = MIN(r, network_return_links(spec->machine));
	if (rtnl >= 0)
		remove_links(rtnl, host);
	if (rtnl >= 0 && spec->zone)
		r = MIN(r, network_leave_zone(rtnl, host->facts.network.bridge));
	r = MIN(r, network_forward_end(spec->machine));
	if (r < 0)
		host_note_leftovers(host, r, "the network of machine", spec->machine);
}

static void close_firewall(struct host *host)
{
	int r = firewall_close(take_fd(&host->firewall_fd), host->spec->machine);

	if (r < 0)
		host_note_leftovers(host, r, "the packet filter of machine", host->spec->machine);
}

static void network_undo(struct host *host)
{
	if (host->guest_rtnl_fd >= 0) {
		give_back(host);
		(void)close(take_fd(&host->guest_rtnl_fd));
	}
	if (host->firewall_fd >= 0)
		close_firewall(host);
	if (host->home_mount_ns_fd >= 0)
		(void)close(take_fd(&host->home_mount_ns_fd));
	host->has_interface = host->has_others = false;
	host->links_made = 0;
}

/* A redd in a container may share the network but not the registry, so ask the kernel too. */
static bool is_alive(const char *machine)
{
	return network_is_alive(machine) || firewall_is_set(machine);
}

/* -errno when one could not be removed. */
static int clean_links(int rtnl)
{
	autofree struct network_link *links = NULL;
	size_t count = 0;
	int result = network_list_links(rtnl, &links, &count);

	for (size_t i = 0; i < count; i++) {
		const char *machine = str_after_prefix(links[i].alias, NETWORK_ALIAS_MACHINE);

		if (machine && streq(links[i].kind, "veth") && !is_alive(machine)) {
			int r = network_remove_link(rtnl, links[i].index);

			result = r < 0 && r != -ENODEV ? r : result;
		}
	}
	for (size_t i = 0; i < count; i++)
		if (str_after_prefix(links[i].alias, NETWORK_ALIAS_ZONE))
			(void)network_leave_zone(rtnl, links[i].name);
	return result;
}

static void network_clean(uint64_t deadline_us)
{
	autoclose int rtnl = rtnl_open();
	int r;

	network_return_clean();
	r = rtnl < 0 ? rtnl : clean_links(rtnl);
	/* Rules must stay while the link that they confine is there. */
	if (r >= 0)
		r = firewall_clean(is_alive);
	if (r < 0)
		log_warning_errno(r, "remove the interfaces and packet filters of dead machines; "
				     "redd clean tries again");
	network_forward_clean();
	firewall_clean_others(is_alive);
}

static void network_done(struct host_facts *facts)
{
	free(facts->network.link_alias);
	firewall_others_done(&facts->network.others);
}

const struct host_module host_module_network = {
	.name = "network",
	.begin = network_begin,
	.prepare = network_prepare,
	.plan = network_plan,
	.attach = network_attach,
	.undo = network_undo,
	.clean = network_clean,
	.done = network_done,
};
