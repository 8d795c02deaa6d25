/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making and removing links. Names and hardware addresses are systemd-nspawn's, so that a networkd
 * file or a lease made for a machine keeps matching. Quiet. Supervisor's side.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <unistd.h>

#include "host/network/network.h"
#include "lib/str.h"
#include "net/link_name.h"

#define NAME_TRIES 25
#define NAME_PAUSE_US (20 * 1000)
#define MTU_USUAL 1500

int network_remove_link(int rtnl, int index)
{
	struct ifinfomsg link = {.ifi_index = index};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_DELLINK, 0, &link, sizeof(link));
	return rtnl_call(rtnl, &message);
}

int network_set_up(int rtnl, int index)
{
	struct ifinfomsg link = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	return rtnl_call(rtnl, &message);
}

int network_set_alias(int rtnl, int index, const char *prefix, const char *name)
{
	struct ifinfomsg link = {.ifi_index = index};
	autofree char *alias = str_printf("%s%s", prefix, name);
	struct rtnl_message message;

	if (!alias)
		return -ENOMEM;
	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	rtnl_put(&message, IFLA_IFALIAS, alias, (uint32_t)strlen(alias));
	return rtnl_call(rtnl, &message);
}

int network_set_conf4(int rtnl, int index, uint16_t which, uint32_t value)
{
	struct ifinfomsg link = {.ifi_index = index};
	struct rtnl_message message;
	uint32_t spec, inet, conf;

	rtnl_begin(&message, RTM_SETLINK, 0, &link, sizeof(link));
	spec = rtnl_begin_nest(&message, IFLA_AF_SPEC);
	inet = rtnl_begin_nest(&message, AF_INET);
	conf = rtnl_begin_nest(&message, IFLA_INET_CONF);
	rtnl_put_u32(&message, which, value);
	rtnl_end_nest(&message, conf);
	rtnl_end_nest(&message, inet);
	rtnl_end_nest(&message, spec);
	return rtnl_call(rtnl, &message);
}

/* The full name still finds the interface. Kernels before 5.5 have no such names. */
static void add_name(int rtnl, const char *name, const char *other)
{
	struct rtnl_message message;
	struct ifinfomsg link = {};
	uint32_t list;

	rtnl_begin(&message, RTM_NEWLINKPROP, NLM_F_EXCL | NLM_F_CREATE | NLM_F_APPEND, &link,
		   sizeof(link));
	rtnl_put_str(&message, IFLA_IFNAME, name);
	list = rtnl_begin_nest(&message, IFLA_PROP_LIST | NLA_F_NESTED);
	rtnl_put_str(&message, IFLA_ALT_IFNAME, other);
	rtnl_end_nest(&message, list);
	(void)rtnl_call(rtnl, &message);
}

bool network_remove_own(int rtnl, const char *machine, const char *name)
{
	struct network_link link = {};
	const char *owner;

	if (network_find_link(rtnl, name, &link) < 0)
		return false;
	owner = str_after_prefix(link.alias, NETWORK_ALIAS_MACHINE);
	return owner && streq(owner, machine) && network_remove_link(rtnl, link.index) >= 0;
}

/* First removes what a killed supervisor of that very machine left of the name. */
static int make_link(int rtnl, const char *machine, const char *name, struct rtnl_message *message)
{
	int r = rtnl_call(rtnl, message);

	/*
	 * A network namespace ends some time after its last process, and its interfaces with it:
	 * the name that a killed machine leaves is free a moment later.
	 */
	for (int i = 0; r == -EEXIST && i < NAME_TRIES; i++) {
		if (!network_remove_own(rtnl, machine, name))
			(void)usleep(NAME_PAUSE_US);
		r = rtnl_call(rtnl, message);
	}
	return r;
}

/* One end of a pair. */
struct end {
	const char *name;
	uint8_t mac[ETH_ALEN];
};

/*
 * A veth runs on one queue each way. Unasked, the kernel makes one for each processor that there
 * could be and waits for RCU, once an end, to cut them down to one.
 */
static void put_queues(struct rtnl_message *message)
{
	rtnl_put_u32(message, IFLA_NUM_TX_QUEUES, 1);
	rtnl_put_u32(message, IFLA_NUM_RX_QUEUES, 1);
}

static void put_peer(struct rtnl_message *message, const struct end *guest, pid_t pid, uint32_t mtu)
{
	struct ifinfomsg link = {};
	uint32_t peer = rtnl_begin_nest(message, VETH_INFO_PEER);

	rtnl_put_raw(message, &link, sizeof(link));
	rtnl_put_str(message, IFLA_IFNAME, guest->name);
	rtnl_put(message, IFLA_ADDRESS, guest->mac, ETH_ALEN);
	put_queues(message);
	rtnl_put_u32(message, IFLA_NET_NS_PID, (uint32_t)pid);
	if (mtu > 0)
		rtnl_put_u32(message, IFLA_MTU, mtu);
	rtnl_end_nest(message, peer);
}

static int make_pair(int rtnl, const struct host *host, const struct end *outside,
		     const struct end *inside, unsigned flags, const struct network_link *bridge)
{
	/* The other end can't be made up: it has no peer yet. */
	struct ifinfomsg link = {.ifi_flags = flags, .ifi_change = flags};
	uint32_t mtu = bridge && bridge->mtu != MTU_USUAL ? bridge->mtu : 0;
	struct rtnl_message message;
	uint32_t info, data;

	rtnl_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	rtnl_put_str(&message, IFLA_IFNAME, outside->name);
	rtnl_put(&message, IFLA_ADDRESS, outside->mac, ETH_ALEN);
	put_queues(&message);
	if (bridge)
		rtnl_put_u32(&message, IFLA_MASTER, (uint32_t)bridge->index);
	if (mtu > 0)
		rtnl_put_u32(&message, IFLA_MTU, mtu);
	info = rtnl_begin_nest(&message, IFLA_LINKINFO);
	rtnl_put_str(&message, IFLA_INFO_KIND, "veth");
	data = rtnl_begin_nest(&message, IFLA_INFO_DATA);
	put_peer(&message, inside, host->holder_pid, mtu);
	rtnl_end_nest(&message, data);
	rtnl_end_nest(&message, info);
	return make_link(rtnl, host->spec->machine, outside->name, &message);
}

/* Only links with our mark are ever removed. */
static int mark(int rtnl, const struct host *host, const char *name)
{
	struct network_link link = {};
	int r = network_find_link(rtnl, name, &link);

	if (r < 0)
		return r;
	r = network_set_alias(rtnl, link.index, NETWORK_ALIAS_MACHINE, host->spec->machine);
	if (r < 0)
		(void)network_remove_link(rtnl, link.index);
	return r;
}

int network_make_host0(int rtnl, const struct host *host, const struct network_link *bridge)
{
	const struct host_network *network = &host->facts.network;
	struct end outside = {.name = network->link}, inside = {.name = "host0"};
	int r;

	memcpy(outside.mac, network->host_mac, ETH_ALEN);
	memcpy(inside.mac, network->guest_mac, ETH_ALEN);
	r = make_pair(rtnl, host, &outside, &inside, IFF_UP, bridge);
	if (r < 0)
		return r;
	if (network->link_alias)
		add_name(rtnl, network->link, network->link_alias);
	return mark(rtnl, host, network->link);
}

int network_make_veth(int rtnl, const struct host *host, const struct spec_link *link,
		      uint64_t number)
{
	const char *id = host->facts.host_id, *machine = host->spec->machine;
	struct end outside = {.name = link->host}, inside = {.name = link->guest};
	int r;

	net_link_mac(id, machine, NET_ROLE_EXTRA_HOST, number, outside.mac);
	net_link_mac(id, machine, NET_ROLE_EXTRA_GUEST, number, inside.mac);
	r = make_pair(rtnl, host, &outside, &inside, 0, NULL);
	return r < 0 ? r : mark(rtnl, host, link->host);
}

/* The MAC of a macvlan is as stable as the others; an ipvlan has that of the interface below. */
static void put_vlan(struct rtnl_message *message, const struct host *host,
		     const struct spec_link *link, uint64_t number)
{
	bool is_macvlan = link->kind == SPEC_LINK_MACVLAN;
	uint8_t mac[ETH_ALEN];
	uint32_t info, data;

	if (is_macvlan) {
		net_link_mac(host->facts.host_id, host->spec->machine, NET_ROLE_MACVLAN, number,
			     mac);
		rtnl_put(message, IFLA_ADDRESS, mac, ETH_ALEN);
	}
	info = rtnl_begin_nest(message, IFLA_LINKINFO);
	rtnl_put_str(message, IFLA_INFO_KIND, is_macvlan ? "macvlan" : "ipvlan");
	data = rtnl_begin_nest(message, IFLA_INFO_DATA);
	if (is_macvlan)
		rtnl_put_u32(message, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	else
		rtnl_put(message, IFLA_IPVLAN_MODE, &(uint16_t){IPVLAN_MODE_L2}, sizeof(uint16_t));
	rtnl_end_nest(message, data);
	rtnl_end_nest(message, info);
}

int network_make_vlan(int rtnl, const struct host *host, const struct spec_link *link,
		      uint64_t number)
{
	struct network_link below = {};
	struct ifinfomsg info = {};
	struct rtnl_message message;
	int r = network_find_link(rtnl, link->host, &below);

	if (r < 0)
		return r;
	rtnl_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	rtnl_put_str(&message, IFLA_IFNAME, link->guest);
	rtnl_put_u32(&message, IFLA_LINK, (uint32_t)below.index);
	rtnl_put_u32(&message, IFLA_NET_NS_PID, (uint32_t)host->holder_pid);
	put_vlan(&message, host, link, number);
	return rtnl_call(rtnl, &message);
}
