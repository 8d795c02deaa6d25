/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses and prefixes of both families as plain values. Pure and quiet: text goes in and out by
 * inet_pton(3) and inet_ntop(3), never by a resolver.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero (AF_UNSPEC) is "none". Bytes in network order. */
struct net_address {
	int family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
		uint8_t bytes[16];
	};
};

struct net_prefix {
	struct net_address address; /* host bits as given */
	uint8_t length;
};

#define NET_ADDRESS_TEXT 48 /* room for an address, a prefix, and the NUL */

/* 4 or 16; 0 for none. */
size_t net_address_size(const struct net_address *address);
bool net_address_is_set(const struct net_address *address);
bool net_address_equal(const struct net_address *a, const struct net_address *b);
/* "192.0.2.1" or "2001:db8::1", nothing else. 0 or -EINVAL. */
int net_address_parse(const char *text, struct net_address *ret);
/* Into the caller's buffer, which it returns; "" for none. */
const char *net_address_format(const struct net_address *address, char ret[NET_ADDRESS_TEXT]);

/* ADDRESS[/LENGTH]; without a length the whole address. 0 or -EINVAL. */
int net_prefix_parse(const char *text, struct net_prefix *ret);
const char *net_prefix_format(const struct net_prefix *prefix, char ret[NET_ADDRESS_TEXT]);
/* Host bits cleared. */
struct net_prefix net_prefix_network(const struct net_prefix *prefix);
bool net_prefix_contains(const struct net_prefix *prefix, const struct net_address *address);
/* The address `number` above the network's first; within the low 32 bits. */
struct net_address net_prefix_address(const struct net_prefix *prefix, uint32_t number);
