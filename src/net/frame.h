/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ethernet frames that carry UDP over IPv4 or IPv6, or ICMPv6: taken apart and put together (RFC
 * 791, 768, 8200, 4443). Whatever is odd is refused: fragments, extension headers, a length that
 * does not add up, a checksum that is wrong. Pure and quiet: no allocation, no system call.
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"

#define FRAME_HEADERS_MAX (14 + 40 + 8)

struct frame_packet {
	uint8_t source_mac[ETH_ALEN], destination_mac[ETH_ALEN];
	struct net_address source, destination;
	uint8_t protocol;			/* IPPROTO_UDP or IPPROTO_ICMPV6 */
	uint8_t hop_limit;			/* or TTL */
	uint16_t source_port, destination_port; /* UDP only; host byte order */
	/* What UDP carries; of ICMPv6 the whole message, whose checksum frame_build() fills in. */
	const uint8_t *payload;
	size_t size;
};

/*
 * `has_checksum`: false for a frame that never left the machine, whose UDP or ICMPv6 checksum was
 * left to hardware that isn't there (TP_STATUS_CSUMNOTREADY). ret->payload points into `data`.
 * 0, -EBADMSG: broken, -ENOMSG: of no kind that is known here.
 */
int frame_parse(const uint8_t *data, size_t size, bool has_checksum, struct frame_packet *ret);

/* Bytes written to ret, or -EMSGSIZE where `max` or a length field can't hold it. */
ssize_t frame_build(const struct frame_packet *packet, uint8_t *ret, size_t max);
