/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Router solicitations and advertisements. What comes in is hostile. Pure. Supervisor's side. */
#include "net/ra.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "net/wire.h"

#define TYPE_SOLICITATION 133
#define TYPE_ADVERTISEMENT 134
#define HOP_LIMIT 255 /* did not come through a router */
#define OPTION_UNIT 8 /* of lengths */
#define PREFIX_ON_LINK 0x80
#define PREFIX_AUTONOMOUS 0x40
#define INFINITE UINT32_MAX
#define HOPS_TO_USE 64

enum option {
	OPTION_SOURCE_LINK = 1,
	OPTION_PREFIX = 3,
	OPTION_MTU = 5,
	OPTION_NAME_SERVERS = 25,
};

int ra_check_solicitation(const struct frame_packet *packet)
{
	const uint8_t *data = packet->payload;
	bool is_unspecified = IN6_IS_ADDR_UNSPECIFIED(&packet->source.v6);

	if (packet->protocol != IPPROTO_ICMPV6 || packet->hop_limit != HOP_LIMIT ||
	    packet->size < 8 || data[0] != TYPE_SOLICITATION || data[1] != 0)
		return -EBADMSG;
	for (size_t at = 8; at < packet->size;) {
		size_t left = packet->size - at;
		size_t size = left < 2 ? 0 : (size_t)data[at + 1] * OPTION_UNIT;

		if (size == 0 || size > left)
			return -EBADMSG;
		if (data[at] == OPTION_SOURCE_LINK && is_unspecified)
			return -EBADMSG;
		at += size;
	}
	return 0;
}

static uint8_t *add_option(uint8_t *at, uint8_t type, size_t size)
{
	memset(at, 0, size);
	at[0] = type;
	at[1] = (uint8_t)(size / OPTION_UNIT);
	return at + size;
}

static uint8_t *add_prefix(uint8_t *at, const struct net_prefix *prefix)
{
	struct net_prefix network = net_prefix_network(prefix);
	uint8_t *end = add_option(at, OPTION_PREFIX, 32);

	at[2] = network.length;
	at[3] = PREFIX_ON_LINK | PREFIX_AUTONOMOUS;
	wire_put32(at + 4, INFINITE);
	wire_put32(at + 8, INFINITE);
	memcpy(at + 16, network.address.bytes, 16);
	return end;
}

static uint8_t *add_name_servers(uint8_t *at, const struct ra_config *config)
{
	uint8_t *to = at + 8;
	size_t count = 0;

	for (size_t i = 0; i < config->name_server_count && count < RA_NAME_SERVERS_MAX; i++)
		if (config->name_servers[i].family == AF_INET6) {
			memcpy(to, config->name_servers[i].bytes, 16);
			to += 16;
			count++;
		}
	if (count == 0)
		return at;
	(void)add_option(at, OPTION_NAME_SERVERS, 8);
	at[1] = (uint8_t)(1 + 2 * count);
	wire_put32(at + 4, INFINITE);
	return to;
}

size_t ra_build(const struct ra_config *config, uint8_t ret[RA_MESSAGE_MAX])
{
	uint8_t *at = ret + 16, *option;

	memset(ret, 0, 16);
	ret[0] = TYPE_ADVERTISEMENT;
	ret[4] = HOPS_TO_USE;
	wire_put16(ret + 6, RA_ROUTER_LIFETIME_S);
	option = at;
	at = add_option(option, OPTION_SOURCE_LINK, 8);
	memcpy(option + 2, config->router_mac, ETH_ALEN);
	if (config->mtu) {
		option = at;
		at = add_option(option, OPTION_MTU, 8);
		wire_put32(option + 4, config->mtu);
	}
	at = add_prefix(at, &config->prefix);
	at = add_name_servers(at, config);
	return (size_t)(at - ret);
}
