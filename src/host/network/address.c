/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses and routes of both ends of a machine's link, set before its init runs: the machine can
 * be reached at once, even if the guest configures nothing. What a guest configures itself has
 * precedence, because our routes have a high metric. Supervisor's side.
 */
#include <errno.h>
#include <linux/if_addr.h>

#include "host/network/network.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

/* Behind those of systemd-networkd (1024), dhcpcd, NetworkManager, and the kernel's by RA. */
#define METRIC 4096

int network_add_address(int rtnl, int link, const struct net_address *address, uint8_t length)
{
	struct ifaddrmsg info = {
		.ifa_family = (uint8_t)address->family,
		.ifa_prefixlen = length,
		/* Nobody else on the link could have it, so skip duplicate detection. */
		.ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = (uint32_t)link,
	};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	rtnl_put(&message, IFA_LOCAL, address->bytes, (uint32_t)net_address_size(address));
	rtnl_put(&message, IFA_ADDRESS, address->bytes, (uint32_t)net_address_size(address));
	return rtnl_call(rtnl, &message);
}

/* To `target` (NULL: everywhere) by `gateway` (NULL: it is on the link itself). */
static int add_route(int rtnl, int link, const struct net_prefix *target,
		     const struct net_address *gateway)
{
	const struct net_address *any = gateway ? gateway : &target->address;
	struct rtmsg info = {
		.rtm_family = (uint8_t)any->family,
		.rtm_dst_len = target ? target->length : 0,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		/* A gateway outside of the network is on the link all the same. */
		.rtm_flags = gateway ? RTNH_F_ONLINK : 0,
	};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	if (target)
		rtnl_put(&message, RTA_DST, target->address.bytes,
			 (uint32_t)net_address_size(&target->address));
	if (gateway)
		rtnl_put(&message, RTA_GATEWAY, gateway->bytes,
			 (uint32_t)net_address_size(gateway));
	rtnl_put_u32(&message, RTA_OIF, (uint32_t)link);
	rtnl_put_u32(&message, RTA_PRIORITY, METRIC);
	return rtnl_call(rtnl, &message);
}

static int add_guest_address(const struct host *host, int link, const struct net_address *address,
			     uint8_t length)
{
	char text[NET_ADDRESS_TEXT];
	int r = net_address_is_set(address)
			? network_add_address(host->guest_rtnl_fd, link, address, length)
			: 0;

	if (r >= 0 || (r == -EACCES && address->family == AF_INET6))
		return r;
	return log_errno(r, "give machine %s the address %s", host->spec->machine,
			 net_address_format(address, text));
}

/* The first of each family stands in the lease. */
static int add_static_addresses(const struct host *host, int link, int family)
{
	const struct spec *spec = host->spec;
	int r = 0;

	for (size_t i = 0; i < spec->address_count && r >= 0; i++)
		if (spec->addresses[i].address.family == family)
			r = add_guest_address(host, link, &spec->addresses[i].address,
					      spec->addresses[i].length);
	return r;
}

static int add_default_route(const struct host *host, int link, const struct net_address *gateway,
			     const struct net_address *address)
{
	char text[NET_ADDRESS_TEXT];
	int r;

	if (!net_address_is_set(gateway) || !net_address_is_set(address))
		return 0;
	r = add_route(host->guest_rtnl_fd, link, NULL, gateway);
	return r < 0 ? log_errno(r, "route machine %s by %s", host->spec->machine,
				 net_address_format(gateway, text))
		     : 0;
}

/* IPv6 that is turned off in the machine's namespace (an inherited sysctl) is no failure. */
static int configure_guest6(const struct host *host, int link)
{
	const struct host_network *network = &host->facts.network;
	const struct net_lease *lease = &network->lease;
	int r;

	if (!net_address_is_set(&lease->guest6))
		return 0;
	r = add_guest_address(host, link, &lease->guest6, lease->subnet6.length);
	if (r == -EACCES)
		return 0;
	if (r >= 0)
		r = add_static_addresses(host, link, AF_INET6);
	return r < 0 ? r : add_default_route(host, link, &network->gateway6, &lease->guest6);
}

/*
 * A DHCP client that takes over the addresses removes ours first. Without this, its own ones,
 * link-local and global, would be tentative for a second each, and the machine without IPv6.
 */
static void trust_addresses(const struct host *host)
{
	autoclose int netns = -1;

	if (host->facts.network.server != HOST_NETWORK_REDD || host->spec->zone)
		return;
	netns = network_open_netns_of(host->holder_pid);
	/* Where /proc/sys is read-only, the machine waits these seconds. */
	if (netns >= 0)
		(void)network_write_in(netns, "/proc/sys/net/ipv6/conf/host0/accept_dad", "0");
}

int network_configure_guest(const struct host *host)
{
	const struct host_network *network = &host->facts.network;
	const struct net_lease *lease = &network->lease;
	struct network_link link = {};
	int r;

	if (!host->spec->configure_network)
		return 0;
	trust_addresses(host);
	r = network_find_link(host->guest_rtnl_fd, "host0", &link);
	if (r >= 0)
		r = network_set_up(host->guest_rtnl_fd, link.index);
	if (r < 0)
		return log_errno(r, "bring up host0 of machine %s", host->spec->machine);
	r = add_guest_address(host, link.index, &lease->guest4, lease->subnet4.length);
	if (r >= 0)
		r = add_static_addresses(host, link.index, AF_INET);
	if (r >= 0)
		r = add_default_route(host, link.index, &network->gateway4, &lease->guest4);
	return r < 0 ? r : configure_guest6(host, link.index);
}

/* host0's address is outside of the network of the host's end: a single address, say. */
static int add_host_route(int rtnl, int link, const struct net_address *guest,
			  const struct net_prefix *host)
{
	struct net_prefix single = {*guest, (uint8_t)(8 * net_address_size(guest))};

	if (!net_address_is_set(guest) ||
	    (host->address.family == guest->family && net_prefix_contains(host, guest)))
		return 0;
	return add_route(rtnl, link, &single, NULL);
}

static int configure_family(int rtnl, int link, const struct net_address *address,
			    const struct net_address *guest, uint8_t length)
{
	struct net_prefix prefix = {*address, length};
	int r = net_address_is_set(address) ? network_add_address(rtnl, link, address, length) : 0;

	return r < 0 ? r : add_host_route(rtnl, link, guest, &prefix);
}

/*
 * The address that the kernel would derive from the hardware address (RFC 4291, appendix A), but
 * usable at once: while it is tentative, the host solicits no neighbour, and so forwards nothing to
 * the machine.
 */
static struct net_address link_local(const uint8_t mac[ETH_ALEN])
{
	return (struct net_address){
		.family = AF_INET6,
		.bytes = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4],
			  mac[5]},
	};
}

int network_configure_host(int rtnl, const struct host *host)
{
	const struct host_network *network = &host->facts.network;
	const struct net_lease *lease = &network->lease;
	const char *name = host_network_address_link(network);
	struct net_address local = link_local(network->router_mac);
	struct network_link link = {};
	int r;

	if (network->server != HOST_NETWORK_REDD)
		return 0;
	r = network_find_link(rtnl, name, &link);
	if (r >= 0 && network->has_ipv6)
		r = network_add_address(rtnl, link.index, &local, 64);
	if (r >= 0)
		r = configure_family(rtnl, link.index, &lease->host4, &lease->guest4,
				     lease->subnet4.length);
	if (r >= 0)
		r = configure_family(rtnl, link.index, &lease->host6, &lease->guest6,
				     lease->subnet6.length);
	return r < 0 ? log_errno(r, "give interface %s the addresses of the host's end", name) : 0;
}
