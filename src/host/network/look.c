/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is of links, addresses and routes. Changes nothing. Quiet. Supervisor's side. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <net/if.h>
#include <stdlib.h>

#include "host/network/network.h"
#include "lib/str.h"

/* RTEXT_FILTER_SKIP_STATS: half of what a link has to say. */
#define LINK_FILTER RTEXT_FILTER_SKIP_STATS
/* A router of the internet has a million routes: those behind so many don't count. */
#define PREFIXES_MAX 65536
#define NAMES_IN_MESSAGE 12
/* What a shorter route leads to is all the world: so VPNs split a default route. */
#define SHORTEST_V4 8
#define SHORTEST_V6 7

/* A growing array; `items` is the caller's to free. */
struct list {
	char *items;
	size_t item_size, count, capacity;
};

static int list_add(struct list *list, const void *item)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 16;
		char *grown = reallocarray(list->items, capacity, list->item_size);

		if (!grown)
			return -ENOMEM;
		list->items = grown;
		list->capacity = capacity;
	}
	memcpy(list->items + list->item_size * list->count++, item, list->item_size);
	return 0;
}

static void list_clear(void *userdata)
{
	struct list *list = userdata;

	list->count = 0;
}

/* The settings of IPv4 come as an array, the first of number 1. */
static int forwards4(const struct rtattr *spec)
{
	const struct rtattr *conf =
		rtnl_find_nested(rtnl_find_nested(spec, AF_INET), IFLA_INET_CONF);

	if (!conf || RTA_PAYLOAD(conf) < IPV4_DEVCONF_FORWARDING * sizeof(uint32_t))
		return -1;
	return ((const uint32_t *)RTA_DATA(conf))[IPV4_DEVCONF_FORWARDING - 1] != 0;
}

static void parse_link(const struct nlmsghdr *header, struct network_link *ret)
{
	const struct ifinfomsg *info = NLMSG_DATA(header);
	const struct rtattr *mac = rtnl_find(header, sizeof(*info), IFLA_ADDRESS);
	const struct rtattr *kind = rtnl_find(header, sizeof(*info), IFLA_LINKINFO);

	*ret = (struct network_link){
		.index = info->ifi_index,
		.flags = info->ifi_flags,
		.bridge = (int)rtnl_get_u32(rtnl_find(header, sizeof(*info), IFLA_MASTER)),
		.mtu = rtnl_get_u32(rtnl_find(header, sizeof(*info), IFLA_MTU)),
		.forwards4 = forwards4(rtnl_find(header, sizeof(*info), IFLA_AF_SPEC)),
	};
	rtnl_get_str(rtnl_find(header, sizeof(*info), IFLA_IFNAME), ret->name, sizeof(ret->name));
	rtnl_get_str(rtnl_find(header, sizeof(*info), IFLA_IFALIAS), ret->alias,
		     sizeof(ret->alias));
	rtnl_get_str(rtnl_find_nested(kind, IFLA_INFO_KIND), ret->kind, sizeof(ret->kind));
	if (mac && RTA_PAYLOAD(mac) == ETH_ALEN)
		memcpy(ret->mac, RTA_DATA(mac), ETH_ALEN);
}

static int take_link(const struct nlmsghdr *header, void *userdata)
{
	if (header->nlmsg_type != RTM_NEWLINK ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return -EBADMSG;
	parse_link(header, userdata);
	return 0;
}

int network_find_link(int rtnl, const char *name, struct network_link *ret)
{
	struct rtnl_message message;
	struct ifinfomsg info = {};

	rtnl_begin(&message, RTM_GETLINK, 0, &info, sizeof(info));
	rtnl_put_u32(&message, IFLA_EXT_MASK, LINK_FILTER);
	/* The kernel finds the name proper by it, too. */
	rtnl_put_str(&message, IFLA_ALT_IFNAME, name);
	return rtnl_ask(rtnl, &message, take_link, ret);
}

static int add_link(const struct nlmsghdr *header, void *userdata)
{
	struct network_link link;
	int r = take_link(header, &link);

	return r < 0 ? r : list_add(userdata, &link);
}

int network_list_links(int rtnl, struct network_link **ret, size_t *ret_count)
{
	struct list list = {.item_size = sizeof(**ret)};
	struct rtnl_message message;
	struct ifinfomsg info = {};
	int r;

	rtnl_begin(&message, RTM_GETLINK, NLM_F_DUMP, &info, sizeof(info));
	rtnl_put_u32(&message, IFLA_EXT_MASK, LINK_FILTER);
	r = rtnl_dump(rtnl, &message, add_link, list_clear, &list);
	if (r < 0) {
		free(list.items);
		return r;
	}
	*ret = (struct network_link *)list.items;
	*ret_count = list.count;
	return 0;
}

bool network_link_is_ours(const struct network_link *link)
{
	return str_after_prefix(link->alias, NETWORK_ALIAS_MACHINE) ||
	       str_after_prefix(link->alias, NETWORK_ALIAS_ZONE);
}

bool network_is_of_host(unsigned index)
{
	char name[IF_NAMESIZE];
	struct network_link link = {};
	autoclose int rtnl = rtnl_open();

	if (rtnl < 0 || !if_indextoname(index, name) || network_find_link(rtnl, name, &link) < 0)
		return true;
	return !(link.flags & IFF_LOOPBACK) && !network_link_is_ours(&link);
}

static bool take_address(int family, const struct rtattr *attribute, struct net_address *ret)
{
	*ret = (struct net_address){.family = family};
	if ((family != AF_INET && family != AF_INET6) || !attribute ||
	    RTA_PAYLOAD(attribute) != net_address_size(ret))
		return false;
	memcpy(ret->bytes, RTA_DATA(attribute), net_address_size(ret));
	return true;
}

static int add_address(const struct nlmsghdr *header, void *userdata)
{
	const struct ifaddrmsg *info = NLMSG_DATA(header);
	struct network_address address;
	const struct rtattr *value;

	if (header->nlmsg_type != RTM_NEWADDR || header->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EBADMSG;
	/* Of a peer-to-peer link IFA_ADDRESS is the other end. */
	value = rtnl_find(header, sizeof(*info), IFA_LOCAL);
	if (!value)
		value = rtnl_find(header, sizeof(*info), IFA_ADDRESS);
	if (!take_address(info->ifa_family, value, &address.prefix.address))
		return 0;
	address.link = (int)info->ifa_index;
	address.prefix.length = info->ifa_prefixlen;
	return list_add(userdata, &address);
}

int network_list_addresses(int rtnl, struct network_address **ret, size_t *ret_count)
{
	struct list list = {.item_size = sizeof(**ret)};
	struct rtnl_message message;
	struct ifaddrmsg info = {};
	int r;

	rtnl_begin(&message, RTM_GETADDR, NLM_F_DUMP, &info, sizeof(info));
	r = rtnl_dump(rtnl, &message, add_address, list_clear, &list);
	if (r < 0) {
		free(list.items);
		return r;
	}
	*ret = (struct network_address *)list.items;
	*ret_count = list.count;
	return 0;
}

struct in_use {
	struct list prefixes;
	size_t before; /* of them, those that the dump under way doesn't tell */
	const struct network_link *links;
	size_t link_count;
};

static bool is_on_own_link(const struct in_use *in_use, int index)
{
	for (size_t i = 0; i < in_use->link_count; i++)
		if (in_use->links[i].index == index)
			return network_link_is_ours(&in_use->links[i]);
	return false;
}

static int add_route(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *info = NLMSG_DATA(header);
	struct in_use *in_use = userdata;
	struct net_prefix prefix = {};

	if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EBADMSG;
	if (info->rtm_dst_len < (info->rtm_family == AF_INET ? SHORTEST_V4 : SHORTEST_V6) ||
	    info->rtm_type == RTN_MULTICAST || info->rtm_type == RTN_BROADCAST ||
	    in_use->prefixes.count >= PREFIXES_MAX)
		return 0;
	if (is_on_own_link(in_use, (int)rtnl_get_u32(rtnl_find(header, sizeof(*info), RTA_OIF))) ||
	    !take_address(info->rtm_family, rtnl_find(header, sizeof(*info), RTA_DST),
			  &prefix.address))
		return 0;
	prefix.length = info->rtm_dst_len;
	return list_add(&in_use->prefixes, &prefix);
}

static void forget_routes(void *userdata)
{
	struct in_use *in_use = userdata;

	in_use->prefixes.count = in_use->before;
}

static int add_routes(int rtnl, uint8_t family, struct in_use *in_use)
{
	struct rtmsg info = {.rtm_family = family};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_GETROUTE, NLM_F_DUMP, &info, sizeof(info));
	in_use->before = in_use->prefixes.count;
	return rtnl_dump(rtnl, &message, add_route, forget_routes, in_use);
}

/* An address that has no route of its own (a tunnel's) is one in use all the same. */
static int add_addresses(int rtnl, struct in_use *in_use)
{
	autofree struct network_address *addresses = NULL;
	size_t count = 0;
	int r = network_list_addresses(rtnl, &addresses, &count);

	for (size_t i = 0; i < count && r >= 0; i++)
		if (!is_on_own_link(in_use, addresses[i].link))
			r = list_add(&in_use->prefixes, &addresses[i].prefix);
	return r;
}

int network_list_in_use(int rtnl, struct net_prefix **ret, size_t *ret_count)
{
	struct in_use in_use = {.prefixes.item_size = sizeof(**ret)};
	autofree struct network_link *links = NULL;
	int r = network_list_links(rtnl, &links, &in_use.link_count);

	in_use.links = links;
	if (r >= 0)
		r = add_routes(rtnl, AF_INET, &in_use);
	if (r >= 0)
		r = add_routes(rtnl, AF_INET6, &in_use);
	if (r >= 0)
		r = add_addresses(rtnl, &in_use);
	if (r < 0) {
		free(in_use.prefixes.items);
		return r;
	}
	*ret = (struct net_prefix *)in_use.prefixes.items;
	*ret_count = in_use.prefixes.count;
	return 0;
}

char *network_describe_links(int rtnl)
{
	autofree struct network_link *links = NULL;
	autobuf struct buf text = {};
	char *taken = NULL;
	size_t count = 0, shown = 0;

	(void)network_list_links(rtnl, &links, &count);
	for (size_t i = 0; i < count; i++) {
		if ((links[i].flags & IFF_LOOPBACK) || network_link_is_ours(&links[i]))
			continue;
		if (++shown <= NAMES_IN_MESSAGE)
			buf_printf(&text, "%s%s", shown > 1 ? ", " : "", links[i].name);
	}
	if (shown > NAMES_IN_MESSAGE)
		buf_printf(&text, " and %zu more", shown - NAMES_IN_MESSAGE);
	if (shown == 0)
		buf_add_str(&text, "none but loopback");
	return buf_take(&text, &taken) < 0 ? NULL : taken;
}
