/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames in and out. Everything that comes in is hostile. Pure. Supervisor's side. */
#include "net/frame.h"

#include <errno.h>
#include <string.h>

#include "net/wire.h"

#define ETHER_HEADER 14
#define IP4_HEADER 20
#define IP6_HEADER 40
#define UDP_HEADER 8
#define ICMP6_HEADER 4
#define IP4_DONT_FRAGMENT 0x4000
#define IP4_FRAGMENT 0x3fff /* more to come, or not the first */

static uint32_t sum_bytes(uint32_t sum, const uint8_t *data, size_t size)
{
	for (; size > 1; data += 2, size -= 2)
		sum += wire_get16(data);
	return size > 0 ? sum + ((uint32_t)*data << 8) : sum;
}

/* RFC 1071: 0 when the sum of what was covered holds its own right checksum. */
static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint16_t checksum_of(const struct frame_packet *packet, const uint8_t *data, size_t size)
{
	size_t length = net_address_size(&packet->source);
	uint32_t sum = packet->protocol + (uint32_t)size;

	sum = sum_bytes(sum, packet->source.bytes, length);
	sum = sum_bytes(sum, packet->destination.bytes, length);
	return fold(sum_bytes(sum, data, size));
}

static int parse_udp(const uint8_t *data, size_t size, bool has_checksum, struct frame_packet *ret)
{
	if (size < UDP_HEADER || wire_get16(data + 4) != size)
		return -EBADMSG;
	if (has_checksum) {
		bool is_absent = wire_get16(data + 6) == 0;

		/* RFC 8200, 8.1: only IPv4 may go without. */
		if (is_absent ? ret->source.family != AF_INET : checksum_of(ret, data, size) != 0)
			return -EBADMSG;
	}
	ret->source_port = wire_get16(data);
	ret->destination_port = wire_get16(data + 2);
	ret->payload = data + UDP_HEADER;
	ret->size = size - UDP_HEADER;
	return 0;
}

static int parse_icmp6(const uint8_t *data, size_t size, bool has_checksum,
		       struct frame_packet *ret)
{
	if (size < ICMP6_HEADER || (has_checksum && checksum_of(ret, data, size) != 0))
		return -EBADMSG;
	ret->payload = data;
	ret->size = size;
	return 0;
}

static int parse_ip4(const uint8_t *data, size_t size, bool has_checksum, struct frame_packet *ret)
{
	size_t header, total;

	if (size < IP4_HEADER || data[0] >> 4 != 4)
		return -EBADMSG;
	header = (size_t)(data[0] & 15) * 4;
	total = wire_get16(data + 2);
	/* A short frame is padded behind the packet. */
	if (header < IP4_HEADER || total < header || total > size ||
	    fold(sum_bytes(0, data, header)) != 0)
		return -EBADMSG;
	ret->protocol = data[9];
	if ((wire_get16(data + 6) & IP4_FRAGMENT) || ret->protocol != IPPROTO_UDP)
		return -ENOMSG;
	ret->hop_limit = data[8];
	ret->source.family = ret->destination.family = AF_INET;
	memcpy(ret->source.bytes, data + 12, 4);
	memcpy(ret->destination.bytes, data + 16, 4);
	return parse_udp(data + header, total - header, has_checksum, ret);
}

static int parse_ip6(const uint8_t *data, size_t size, bool has_checksum, struct frame_packet *ret)
{
	size_t length;

	if (size < IP6_HEADER || data[0] >> 4 != 6)
		return -EBADMSG;
	length = wire_get16(data + 4);
	if (length > size - IP6_HEADER)
		return -EBADMSG;
	ret->protocol = data[6];
	ret->hop_limit = data[7];
	ret->source.family = ret->destination.family = AF_INET6;
	memcpy(ret->source.bytes, data + 8, 16);
	memcpy(ret->destination.bytes, data + 24, 16);
	if (ret->protocol == IPPROTO_UDP)
		return parse_udp(data + IP6_HEADER, length, has_checksum, ret);
	if (ret->protocol == IPPROTO_ICMPV6)
		return parse_icmp6(data + IP6_HEADER, length, has_checksum, ret);
	return -ENOMSG;
}

int frame_parse(const uint8_t *data, size_t size, bool has_checksum, struct frame_packet *ret)
{
	struct frame_packet packet = {};
	int r = -ENOMSG;

	if (size < ETHER_HEADER)
		return -EBADMSG;
	memcpy(packet.destination_mac, data, ETH_ALEN);
	memcpy(packet.source_mac, data + ETH_ALEN, ETH_ALEN);
	if (wire_get16(data + 12) == ETH_P_IP)
		r = parse_ip4(data + ETHER_HEADER, size - ETHER_HEADER, has_checksum, &packet);
	else if (wire_get16(data + 12) == ETH_P_IPV6)
		r = parse_ip6(data + ETHER_HEADER, size - ETHER_HEADER, has_checksum, &packet);
	if (r >= 0)
		*ret = packet;
	return r;
}

static void build_ip4(const struct frame_packet *packet, size_t size, uint8_t *ret)
{
	memset(ret, 0, IP4_HEADER);
	ret[0] = 0x45;
	wire_put16(ret + 2, (uint16_t)(IP4_HEADER + size));
	wire_put16(ret + 6, IP4_DONT_FRAGMENT);
	ret[8] = packet->hop_limit;
	ret[9] = packet->protocol;
	memcpy(ret + 12, packet->source.bytes, 4);
	memcpy(ret + 16, packet->destination.bytes, 4);
	wire_put16(ret + 10, fold(sum_bytes(0, ret, IP4_HEADER)));
}

static void build_ip6(const struct frame_packet *packet, size_t size, uint8_t *ret)
{
	memset(ret, 0, IP6_HEADER);
	ret[0] = 0x60;
	wire_put16(ret + 4, (uint16_t)size);
	ret[6] = packet->protocol;
	ret[7] = packet->hop_limit;
	memcpy(ret + 8, packet->source.bytes, 16);
	memcpy(ret + 24, packet->destination.bytes, 16);
}

static void build_udp(const struct frame_packet *packet, size_t size, uint8_t *ret)
{
	uint16_t checksum;

	wire_put16(ret, packet->source_port);
	wire_put16(ret + 2, packet->destination_port);
	wire_put16(ret + 4, (uint16_t)size);
	wire_put16(ret + 6, 0);
	checksum = checksum_of(packet, ret, size);
	wire_put16(ret + 6, checksum ? checksum : 0xffff); /* 0 would say that there is none */
}

static void build_icmp6(const struct frame_packet *packet, size_t size, uint8_t *ret)
{
	wire_put16(ret + 2, 0);
	wire_put16(ret + 2, checksum_of(packet, ret, size));
}

ssize_t frame_build(const struct frame_packet *packet, uint8_t *ret, size_t max)
{
	bool is_ip4 = packet->source.family == AF_INET;
	bool is_udp = packet->protocol == IPPROTO_UDP;
	size_t header = is_ip4 ? IP4_HEADER : IP6_HEADER;
	size_t size = packet->size + (is_udp ? UDP_HEADER : 0);
	uint8_t *inner = ret + ETHER_HEADER + header;

	if (size + header > UINT16_MAX || max < ETHER_HEADER + header + size ||
	    (!is_udp && size < ICMP6_HEADER))
		return -EMSGSIZE;
	memmove(inner + (is_udp ? UDP_HEADER : 0), packet->payload, packet->size);
	memcpy(ret, packet->destination_mac, ETH_ALEN);
	memcpy(ret + ETH_ALEN, packet->source_mac, ETH_ALEN);
	wire_put16(ret + 12, is_ip4 ? ETH_P_IP : ETH_P_IPV6);
	(is_ip4 ? build_ip4 : build_ip6)(packet, size, ret + ETHER_HEADER);
	(is_udp ? build_udp : build_icmp6)(packet, size, inner);
	return (ssize_t)(ETHER_HEADER + header + size);
}
