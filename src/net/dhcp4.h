/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A DHCPv4 server (RFC 2131, 2132, 4039, 6842) for one client that always gets one
 * address: so there is no state, and an answer depends on nothing but the request. Pure and quiet:
 * no allocation, no system call. Everything that comes in is hostile.
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68
#define DHCP4_LEASE_S (24 * 60 * 60)
#define DHCP4_NAME_SERVERS_MAX 8
#define DHCP4_MESSAGE_MAX 1472 /* what we make at most */

struct dhcp4_config {
	struct net_address server; /* router and server */
	struct net_address client;
	uint8_t prefix_length;
	uint8_t client_mac[ETH_ALEN];
	struct net_address name_servers[DHCP4_NAME_SERVERS_MAX];
	size_t name_server_count;
	const char *host_name; /* or NULL */
	uint16_t mtu;	       /* 0: not known */
};

enum dhcp4_type {
	DHCP4_DISCOVER = 1,
	DHCP4_OFFER,
	DHCP4_REQUEST,
	DHCP4_DECLINE,
	DHCP4_ACK,
	DHCP4_NAK,
	DHCP4_RELEASE,
	DHCP4_INFORM,
};

struct dhcp4_request {
	const uint8_t *data;  /* the message, borrowed */
	uint16_t option[256]; /* where its length byte is; 0: not there. Of several, the first. */
};

/* 0 or -EBADMSG. Of a client, with the magic cookie and a message type. */
int dhcp4_parse(const uint8_t *data, size_t size, struct dhcp4_request *ret);
enum dhcp4_type dhcp4_type(const struct dhcp4_request *request);
/* What follows the length byte, or NULL unless there are `min` to `max` bytes of it. */
const uint8_t *dhcp4_option(const struct dhcp4_request *request, uint8_t code, size_t min,
			    size_t max, size_t *ret_size);

/*
 * The answer into ret, and which address it goes to (255.255.255.255: to everybody's hardware
 * address, too). Its size, or 0: no answer is due.
 */
size_t dhcp4_answer(const struct dhcp4_config *config, const struct dhcp4_request *request,
		    uint8_t ret[DHCP4_MESSAGE_MAX], struct net_address *ret_to);
