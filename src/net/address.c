/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses as values. Pure. Either side of clone(). */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/parse.h"

size_t net_address_size(const struct net_address *address)
{
	return address->family == AF_INET ? 4 : address->family == AF_INET6 ? 16 : 0;
}

bool net_address_is_set(const struct net_address *address)
{
	return address->family != AF_UNSPEC;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, net_address_size(a)) == 0;
}

int net_address_parse(const char *text, struct net_address *ret)
{
	struct net_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(address.family, text, address.bytes) != 1)
		return -EINVAL;
	*ret = address;
	return 0;
}

const char *net_address_format(const struct net_address *address, char ret[NET_ADDRESS_TEXT])
{
	if (!net_address_is_set(address) ||
	    !inet_ntop(address->family, address->bytes, ret, NET_ADDRESS_TEXT))
		ret[0] = '\0';
	return ret;
}

int net_prefix_parse(const char *text, struct net_prefix *ret)
{
	const char *slash = strchr(text, '/');
	char address[NET_ADDRESS_TEXT];
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct net_prefix prefix;
	uint32_t bits;

	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (net_address_parse(address, &prefix.address) < 0)
		return -EINVAL;
	bits = (uint32_t)net_address_size(&prefix.address) * 8;
	prefix.length = (uint8_t)bits;
	if (slash) {
		uint32_t given;

		if (parse_u32(slash + 1, &given) < 0 || given > bits)
			return -EINVAL;
		prefix.length = (uint8_t)given;
	}
	*ret = prefix;
	return 0;
}

const char *net_prefix_format(const struct net_prefix *prefix, char ret[NET_ADDRESS_TEXT])
{
	char address[NET_ADDRESS_TEXT];
	size_t length = strlen(net_address_format(&prefix->address, address));

	memcpy(ret, address, length);
	(void)snprintf(ret + length, NET_ADDRESS_TEXT - length, "/%u", prefix->length);
	return ret;
}

struct net_prefix net_prefix_network(const struct net_prefix *prefix)
{
	struct net_prefix network = *prefix;

	for (size_t i = 0; i < net_address_size(&network.address); i++) {
		unsigned kept = prefix->length > i * 8 ? prefix->length - (unsigned)i * 8 : 0;

		network.address.bytes[i] &= (uint8_t)(kept >= 8 ? 0xff : 0xff00 >> kept);
	}
	return network;
}

bool net_prefix_contains(const struct net_prefix *prefix, const struct net_address *address)
{
	struct net_prefix other = {.address = *address, .length = prefix->length};
	struct net_prefix network = net_prefix_network(prefix);

	other = net_prefix_network(&other);
	return net_address_equal(&network.address, &other.address);
}

struct net_address net_prefix_address(const struct net_prefix *prefix, uint32_t number)
{
	struct net_address address = net_prefix_network(prefix).address;
	uint8_t *low = address.bytes + net_address_size(&address) - 4;
	uint32_t value =
		(uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];

	value += number;
	for (int i = 0; i < 4; i++)
		low[i] = (uint8_t)(value >> (24 - 8 * i));
	return address;
}
