/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: N09 */
/*
 * Frames as a machine sends them, and the router solicitations in them. Aborts when a payload is
 * not within the frame, or when a packet put together again is not the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "net/ra.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct frame_packet *a, const struct frame_packet *b)
{
	if (a->protocol != b->protocol || a->hop_limit != b->hop_limit ||
	    a->source_port != b->source_port || a->destination_port != b->destination_port ||
	    !net_address_equal(&a->source, &b->source) ||
	    !net_address_equal(&a->destination, &b->destination) || a->size != b->size)
		abort();
	/* Of ICMPv6 the checksum was filled in. */
	if (a->protocol == IPPROTO_UDP && memcmp(a->payload, b->payload, a->size) != 0)
		abort();
}

static void check_packet(const struct frame_packet *packet, const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(size + FRAME_HEADERS_MAX);
	struct frame_packet again;
	ssize_t built;

	if (packet->payload < data || packet->size > size ||
	    (size_t)(packet->payload - data) > size - packet->size || !frame)
		abort();
	built = frame_build(packet, frame, size + FRAME_HEADERS_MAX);
	if (built < 0 || (size_t)built > size ||
	    frame_parse(frame, (size_t)built, true, &again) < 0)
		abort();
	check_same(packet, &again);
	if (frame_build(packet, frame, (size_t)built - 1) >= 0)
		abort();
	free(frame);
}

static void check_advertisement(const uint8_t *data, size_t size)
{
	struct net_address servers[20] = {};
	struct ra_config config = {.prefix = {.address.family = AF_INET6, .length = 64},
				   .name_servers = servers};
	uint8_t message[RA_MESSAGE_MAX];

	config.name_server_count = size > 0 ? data[0] % 20 : 0;
	for (size_t i = 0; i < config.name_server_count; i++)
		servers[i].family = size > i && data[i] % 2 ? AF_INET : AF_INET6;
	if (ra_build(&config, message) > sizeof(message))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_packet packet;

	check_advertisement(data, size);
	if (frame_parse(data, size, true, &packet) >= 0 &&
	    frame_parse(data, size, false, &packet) < 0)
		abort();
	if (frame_parse(data, size, false, &packet) < 0)
		return 0;
	check_packet(&packet, data, size);
	(void)ra_check_solicitation(&packet);
	return 0;
}
