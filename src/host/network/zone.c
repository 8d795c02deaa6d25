/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bridge of a zone: made with the first machine, removed with the last. Whoever makes it or
 * becomes a port of it, and whoever removes it, holds the one lock. A bridge of that name that we
 * did not make (systemd-nspawn's) is joined and stays. Supervisor's side.
 */
#include <errno.h>
#include <linux/if_link.h>

#include "host/network/network.h"
#include "lib/str.h"
#include "log/log.h"

static int make_bridge(int rtnl, const struct host *host)
{
	struct ifinfomsg link = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	const struct host_network *network = &host->facts.network;
	struct rtnl_message message;
	uint32_t info;

	rtnl_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	rtnl_put_str(&message, IFLA_IFNAME, network->bridge);
	rtnl_put(&message, IFLA_ADDRESS, network->router_mac, ETH_ALEN);
	info = rtnl_begin_nest(&message, IFLA_LINKINFO);
	rtnl_put_str(&message, IFLA_INFO_KIND, "bridge");
	rtnl_end_nest(&message, info);
	return rtnl_call(rtnl, &message);
}

static int make_and_mark(int rtnl, const struct host *host, struct network_link *ret)
{
	const char *name = host->facts.network.bridge;
	int r = make_bridge(rtnl, host);

	if (r >= 0)
		r = network_find_link(rtnl, name, ret);
	return r < 0 ? r
		     : network_set_alias(rtnl, ret->index, NETWORK_ALIAS_ZONE, host->spec->zone);
}

int network_make_zone(int rtnl, const struct host *host, struct network_link *ret)
{
	const char *name = host->facts.network.bridge;
	int r = network_find_link(rtnl, name, ret);

	if (r == -ENODEV)
		r = make_and_mark(rtnl, host, ret);
	else if (r >= 0 && !streq(ret->kind, "bridge"))
		return log_error(-EEXIST,
				 "make zone %s: there is an interface %s, which is no bridge. "
				 "Rename or remove it, or use another name for the zone",
				 host->spec->zone, name);
	else if (r >= 0 && !(ret->flags & IFF_UP))
		r = network_set_up(rtnl, ret->index);
	if (r == -EOPNOTSUPP)
		return log_error(r, "make zone %s: this kernel has no bridge (module bridge)",
				 host->spec->zone);
	return r < 0 ? log_errno(r, "make the bridge %s of zone %s", name, host->spec->zone) : 0;
}

static bool has_port(int rtnl, int index)
{
	autofree struct network_link *links = NULL;
	size_t count = 0;

	if (network_list_links(rtnl, &links, &count) < 0)
		return true;
	for (size_t i = 0; i < count; i++)
		if (links[i].bridge == index)
			return true;
	return false;
}

int network_leave_zone(int rtnl, const char *bridge)
{
	struct network_link link = {};
	autoclose int lock = -1;
	autoclose int dir = network_lock(&lock);
	int r = dir < 0 ? dir : network_find_link(rtnl, bridge, &link);

	if (r == -ENODEV)
		return 0;
	if (r >= 0 && str_after_prefix(link.alias, NETWORK_ALIAS_ZONE) &&
	    !has_port(rtnl, link.index))
		r = network_remove_link(rtnl, link.index);
	return r < 0 ? r : 0;
}
