/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wi-Fi: an interface is bound to its radio, which is what moves between network namespaces, by
 * nl80211. Quiet. Supervisor's side. Source: include/uapi/linux/nl80211.h, SET_WIPHY_NETNS.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nl80211.h>
#include <sys/socket.h>

#include "host/network/network.h"
#include "lib/cleanup.h"

/* One number out of an answer. */
struct wanted {
	uint16_t attribute;
	uint32_t value;
	bool is_found;
};

static int take_value(const struct nlmsghdr *header, void *userdata)
{
	struct wanted *wanted = userdata;
	const struct rtattr *found =
		rtnl_find(header, sizeof(struct genlmsghdr), wanted->attribute);

	if (!found)
		return 0;
	wanted->is_found = true;
	/* A family's number has 16 bits. */
	wanted->value = RTA_PAYLOAD(found) == sizeof(uint16_t) ? *(uint16_t *)RTA_DATA(found)
							       : rtnl_get_u32(found);
	return 0;
}

static int find_family(int socket, uint16_t *ret)
{
	struct genlmsghdr command = {.cmd = CTRL_CMD_GETFAMILY, .version = 1};
	struct wanted wanted = {.attribute = CTRL_ATTR_FAMILY_ID};
	struct rtnl_message message;
	int r;

	rtnl_begin(&message, GENL_ID_CTRL, 0, &command, sizeof(command));
	rtnl_put_str(&message, CTRL_ATTR_FAMILY_NAME, NL80211_GENL_NAME);
	r = rtnl_ask(socket, &message, take_value, &wanted);
	if (r < 0 || !wanted.is_found)
		return r < 0 ? r : -ENOENT;
	*ret = (uint16_t)wanted.value;
	return 0;
}

static int find_radio(int socket, uint16_t family, int index, uint32_t *ret)
{
	struct genlmsghdr command = {.cmd = NL80211_CMD_GET_INTERFACE};
	struct wanted wanted = {.attribute = NL80211_ATTR_WIPHY};
	struct rtnl_message message;
	int r;

	rtnl_begin(&message, family, 0, &command, sizeof(command));
	rtnl_put_u32(&message, NL80211_ATTR_IFINDEX, (uint32_t)index);
	r = rtnl_ask(socket, &message, take_value, &wanted);
	if (r < 0 || !wanted.is_found)
		return r < 0 ? r : -ENODEV;
	*ret = wanted.value;
	return 0;
}

int network_move_radio(int netns, int index, int to)
{
	autoclose int fd = netns < 0 ? rtnl_open_protocol(NETLINK_GENERIC, 0)
				     : network_open_socket_in(netns, NETLINK_GENERIC);
	struct genlmsghdr command = {.cmd = NL80211_CMD_SET_WIPHY_NETNS};
	struct rtnl_message message;
	uint32_t radio;
	uint16_t family;

	if (fd < 0 || find_family(fd, &family) < 0 || find_radio(fd, family, index, &radio) < 0)
		return -EINVAL;
	rtnl_begin(&message, family, 0, &command, sizeof(command));
	rtnl_put_u32(&message, NL80211_ATTR_WIPHY, radio);
	rtnl_put_u32(&message, NL80211_ATTR_NETNS_FD, (uint32_t)to);
	return rtnl_call(fd, &message);
}
