/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the kernel for one route. Source: rtnetlink(7), RTM_GETROUTE. Supervisor's side. */
#include "serve/route.h"

#include <net/if.h>
#include <stdint.h>

#include "kernel/rtnl.h"
#include "lib/cleanup.h"

struct route {
	uint8_t type;
	unsigned interface;
};

static int take_route(const struct nlmsghdr *header, void *userdata)
{
	const struct rtmsg *message = NLMSG_DATA(header);
	struct route *route = userdata;

	if (header->nlmsg_type != RTM_NEWROUTE)
		return 0;
	route->type = message->rtm_type;
	route->interface = rtnl_get_u32(rtnl_find(header, sizeof(*message), RTA_OIF));
	return 0;
}

bool network_route_leads(const struct net_address *address, const char *interface)
{
	uint32_t size = (uint32_t)net_address_size(address);
	const struct rtmsg message = {.rtm_family = (unsigned char)address->family,
				      .rtm_dst_len = (unsigned char)(size * 8)};
	struct rtnl_message question;
	struct route route = {};
	autoclose int rtnl = rtnl_open();

	if (rtnl < 0)
		return false;
	rtnl_begin(&question, RTM_GETROUTE, 0, &message, sizeof(message));
	rtnl_put(&question, RTA_DST, address->bytes, size);
	if (rtnl_ask(rtnl, &question, take_route, &route) < 0 || route.type != RTN_UNICAST)
		return false;
	return !interface || route.interface == if_nametoindex(interface);
}
