/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Router solicitations and advertisements (RFC 4861, 8106), as ICMPv6 messages. Pure and quiet: no
 * allocation, no system call.
 */
#pragma once

#include <netinet/if_ether.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"
#include "net/frame.h"

#define RA_ROUTER_LIFETIME_S 9000
#define RA_NAME_SERVERS_MAX 8
#define RA_MESSAGE_MAX (16 + 8 + 8 + 32 + 8 + 16 * RA_NAME_SERVERS_MAX)

struct ra_config {
	uint8_t router_mac[ETH_ALEN];
	struct net_prefix prefix; /* a /64 for SLAAC */
	const struct net_address *name_servers;
	size_t name_server_count; /* those of IPv6 count, the first RA_NAME_SERVERS_MAX of them */
	uint32_t mtu;		  /* 0: not known */
};

/* RFC 4861, 6.1.1. 0 or -EBADMSG. */
int ra_check_solicitation(const struct frame_packet *packet);
/* Size of the message; its checksum is left to frame_build(). */
size_t ra_build(const struct ra_config *config, uint8_t ret[RA_MESSAGE_MAX]);
