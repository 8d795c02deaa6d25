/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds out what host0 is called, which addresses it has, and who gives them, before anything is
 * made. Supervisor's side.
 */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "host/network/network.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "net/link_name.h"

const char *host_network_address_link(const struct host_network *network)
{
	return network->bridge[0] ? network->bridge : network->link;
}

/* IPv6 is compiled in, and new interfaces have it. */
static bool host_has_ipv6(void)
{
	static const char *const files[] = {"/proc/sys/net/ipv6/conf/all/disable_ipv6",
					    "/proc/sys/net/ipv6/conf/default/disable_ipv6"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		autofree char *text = NULL;

		if (io_read_file_at(AT_FDCWD, files[i], 16, &text, NULL) < 0 || text[0] != '0')
			return false;
	}
	return true;
}

static int name_links(struct host *host)
{
	const struct spec *spec = host->spec;
	struct host_network *network = &host->facts.network;
	const char *id = host->facts.host_id;
	int r;

	r = net_link_name(spec->bridge || spec->zone ? "vb-" : "ve-", spec->machine, network->link,
			  &network->link_alias);
	if (r < 0)
		return log_oom();
	net_link_mac(id, spec->machine, NET_ROLE_HOST, 0, network->host_mac);
	net_link_mac(id, spec->machine, NET_ROLE_GUEST, 0, network->guest_mac);
	memcpy(network->router_mac, network->host_mac, ETH_ALEN);
	if (!spec->zone)
		return 0;
	(void)snprintf(network->bridge, sizeof(network->bridge), "vz-%s", spec->zone);
	/* By default a bridge has the lowest address of its ports, which come and go. */
	net_link_mac(id, network->bridge, NET_ROLE_HOST, 0, network->router_mac);
	return 0;
}

/* Uses the bridge's primary name: the kernel shows ports by that, not by alternative ones. */
static int find_bridge(int rtnl, struct host *host)
{
	const char *name = host->spec->bridge;
	struct network_link link = {};
	autofree char *others = NULL;
	int r = network_find_link(rtnl, name, &link);

	if (r >= 0 && streq(link.kind, "bridge")) {
		strcpy(host->facts.network.bridge, link.name);
		memcpy(host->facts.network.router_mac, link.mac, ETH_ALEN);
		return 0;
	}
	if (r >= 0)
		return log_error(-ENOTSUP,
				 "interface %s is no bridge, so host0 can't be a port of it. "
				 "--network-macvlan=%s shares it",
				 name, name);
	if (r != -ENODEV)
		return log_errno(r, "look for the bridge %s", name);
	others = network_describe_links(rtnl);
	return log_error(r,
			 "there is no bridge %s; there are: %s. Make it (ip link add %s type "
			 "bridge), or use --network-zone=, whose bridge is made as needed",
			 name, others ? others : "…", name);
}

static enum host_network_server find_server(const struct spec *spec)
{
	if (spec->bridge)
		return HOST_NETWORK_BRIDGE;
	if (network_is_managed(spec->zone ? "80-container-vz.network" : "80-container-ve.network"))
		return HOST_NETWORK_NETWORKD;
	return spec->configure_network ? HOST_NETWORK_REDD : HOST_NETWORK_NONE;
}

static bool has_static(const struct spec *spec, int family)
{
	for (size_t i = 0; i < spec->address_count; i++)
		if (spec->addresses[i].address.family == family)
			return true;
	return false;
}

static int take_lease(int rtnl, struct host *host)
{
	const struct spec *spec = host->spec;
	struct host_network *network = &host->facts.network;
	autofree struct net_prefix *in_use = NULL;
	struct net_lease_request request = {
		.machine = spec->machine,
		.zone = spec->zone,
		.host_id = host->facts.host_id,
		.guest_mac = network->guest_mac,
		.only_look = host->only_looks,
	};
	int r;

	if (has_static(spec, AF_INET) && (has_static(spec, AF_INET6) || !network->has_ipv6))
		return 0;
	r = network_list_in_use(rtnl, &in_use, &request.in_use_count);
	if (r < 0)
		return log_errno(r, "list the routes of the host");
	request.in_use = in_use;
	r = net_lease_take(&request, &network->lease);
	if (r == -EADDRNOTAVAIL)
		return log_error(r,
				 "machine %s can't be given an address: all private ranges are in "
				 "use by the host's routes. Say one: [X-Network] Address=",
				 spec->machine);
	return r < 0 ? log_errno(r, "take an address for machine %s from " NET_LEASE_FILE,
				 spec->machine)
		     : 0;
}

static void drop_ipv6(struct net_lease *lease)
{
	lease->subnet6 = (struct net_prefix){};
	lease->host6 = lease->guest6 = (struct net_address){};
}

/* One family's part of a lease. */
struct family {
	int family;
	struct net_prefix *subnet;
	struct net_address *host, *guest, *gateway;
};

static const struct net_address *find_gateway(const struct spec *spec, int family)
{
	for (size_t i = 0; i < spec->gateway_count; i++)
		if (spec->gateways[i].family == family)
			return &spec->gateways[i];
	return NULL;
}

/* The network's first address, or the second one if the first is the machine's own. */
static struct net_address first_address(const struct net_prefix *prefix)
{
	struct net_address first = net_prefix_address(prefix, 1);

	if (prefix->length + 1U >= 8 * net_address_size(&prefix->address))
		return (struct net_address){};
	return net_address_equal(&first, &prefix->address) ? net_prefix_address(prefix, 2) : first;
}

static void apply_family(const struct spec *spec, bool is_ours, const struct family *to)
{
	const struct net_address *gateway = find_gateway(spec, to->family);
	const struct net_prefix *address = NULL;

	for (size_t i = 0; i < spec->address_count && !address; i++)
		if (spec->addresses[i].address.family == to->family)
			address = &spec->addresses[i];
	if (address) {
		*to->guest = address->address;
		*to->subnet = net_prefix_network(address);
		*to->host = (struct net_address){};
		if (gateway)
			*to->host = *gateway;
		else if (is_ours)
			*to->host = first_address(address);
	}
	*to->gateway = gateway ? *gateway : *to->host;
}

void network_apply_static(const struct spec *spec, bool is_ours, struct host_network *network)
{
	struct net_lease *lease = &network->lease;
	const struct family families[] = {
		{AF_INET, &lease->subnet4, &lease->host4, &lease->guest4, &network->gateway4},
		{AF_INET6, &lease->subnet6, &lease->host6, &lease->guest6, &network->gateway6},
	};

	if (!network->has_ipv6)
		drop_ipv6(lease);
	for (size_t i = 0; i < ARRAY_SIZE(families) - !network->has_ipv6; i++)
		apply_family(spec, is_ours, &families[i]);
	strcpy(lease->machine, spec->machine);
	if (spec->zone)
		strcpy(lease->zone, spec->zone);
}

/* Said before anything is made. */
static int check_links(int rtnl, const struct spec *spec)
{
	for (size_t i = 0; i < spec->link_count; i++) {
		const struct spec_link *wanted = &spec->links[i];
		struct network_link link = {};
		autofree char *others = NULL;
		int r;

		if (wanted->kind == SPEC_LINK_VETH)
			continue;
		r = network_find_link(rtnl, wanted->host, &link);
		if (r == -ENODEV) {
			others = network_describe_links(rtnl);
			return log_error(r, "there is no interface %s; there are: %s", wanted->host,
					 others ? others : "…");
		}
		if (r < 0)
			return log_errno(r, "look for interface %s", wanted->host);
		if ((link.flags & IFF_LOOPBACK) || network_link_is_ours(&link))
			return log_error(-EINVAL, "interface %s can't be given to a machine: %s",
					 wanted->host,
					 link.flags & IFF_LOOPBACK ? "it is loopback"
								   : "it is another machine's");
	}
	return 0;
}

static bool is_netns(int fd)
{
	return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

static bool is_same_file(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

int network_open_given(struct host *host)
{
	const char *path = host->spec->netns_path;
	autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (home < 0)
		return log_errno(-errno, "open /proc/self/ns/net");
	if (fd < 0)
		return log_errno(-errno, "open the network namespace %s", path);
	if (!is_netns(fd))
		return log_error(-EINVAL,
				 "%s is no network namespace: such are /run/netns/NAME (ip netns "
				 "add NAME) and /proc/PID/ns/net",
				 path);
	/* A machine in it would hold CAP_NET_ADMIN over the host's own interfaces. */
	if (is_same_file(fd, home))
		return log_error(-EINVAL,
				 "%s is the host's own network namespace: a machine without "
				 "private network shares that",
				 path);
	host_set_slot(host, PLAN_SLOT_NETNS, take_fd(&fd));
	host_set_slot(host, PLAN_SLOT_NETNS_HOME, take_fd(&home));
	return 0;
}

/* A start does not fail for it: the machine may get along without the world. */
static void look_at_others(struct host *host)
{
	struct host_network *network = &host->facts.network;
	const char *link = host_network_address_link(network);
	const char *machine = host->only_looks ? NULL : host->spec->machine;
	int r;

	if (network->server != HOST_NETWORK_REDD && network->server != HOST_NETWORK_NETWORKD)
		return;
	r = firewall_look_at_others(machine, link, host->spec->port_count > 0, &network->others);
	if (r < 0)
		log_warning_errno(r, "look whether the host's packet filter lets %s through", link);
}

static int find_host0(int rtnl, struct host *host)
{
	struct host_network *network = &host->facts.network;
	int r = name_links(host);

	if (r >= 0 && host->spec->bridge)
		r = find_bridge(rtnl, host);
	if (r < 0)
		return r;
	network->has_ipv6 = host_has_ipv6();
	network->server = find_server(host->spec);
	network->is_masqueraded = network->server == HOST_NETWORK_REDD;
	if (network->server == HOST_NETWORK_REDD)
		r = take_lease(rtnl, host);
	if (r >= 0 && host->spec->configure_network)
		network_apply_static(host->spec, network->server == HOST_NETWORK_REDD, network);
	if (r >= 0)
		look_at_others(host);
	return r;
}

int network_find_facts(struct host *host)
{
	const struct spec *spec = host->spec;
	autoclose int rtnl = -1;
	int r;

	if (spec->netns_path || (!spec->veth && spec->link_count == 0))
		return 0;
	rtnl = rtnl_open();
	if (rtnl < 0)
		return log_errno(rtnl, "open an rtnetlink socket");
	r = check_links(rtnl, spec);
	return r >= 0 && spec->veth ? find_host0(rtnl, host) : r;
}
