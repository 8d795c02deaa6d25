/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: N09 */
/*
 * DHCP requests of a machine. Aborts when an answer is not well-formed, is longer than the client
 * takes, or gives another address than the only one there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/dhcp4.h"
#include "net/wire.h"

#define AT_YIADDR 16
#define AT_OPTIONS 240

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dhcp4_config config = {
	.server = {.family = AF_INET, .bytes = {10, 77, 1, 1}},
	.client = {.family = AF_INET, .bytes = {10, 77, 1, 2}},
	.prefix_length = 28,
	.client_mac = {2, 0, 0, 0, 2, 1},
	.name_servers = {{.family = AF_INET, .bytes = {10, 77, 1, 1}}, {.family = AF_INET6}},
	.name_server_count = 2,
	.host_name = "web",
	.mtu = 1500,
};

static void check_options(const uint8_t *data, size_t size)
{
	size_t at = AT_OPTIONS;

	while (at < size && data[at] != 255) {
		if (data[at] == 0 || at + 2 > size || data[at + 1] > size - at - 2)
			abort();
		at += 2 + (size_t)data[at + 1];
	}
	if (at >= size)
		abort();
}

static void check_answer(const uint8_t *answer, size_t size, const struct net_address *to)
{
	if (size > DHCP4_MESSAGE_MAX || size < 300 || answer[0] != 2 || to->family != AF_INET)
		abort();
	if (wire_get32(answer + AT_YIADDR) &&
	    memcmp(answer + AT_YIADDR, config.client.bytes, 4) != 0)
		abort();
	check_options(answer, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t answer[DHCP4_MESSAGE_MAX];
	struct dhcp4_request request;
	struct net_address to = {};
	size_t length, option_size;

	if (dhcp4_parse(data, size, &request) < 0)
		return 0;
	for (unsigned code = 1; code < 255; code++) {
		const uint8_t *option = dhcp4_option(&request, (uint8_t)code, 0, 255, &option_size);

		if (option && (option < data || option + option_size > data + size))
			abort();
	}
	length = dhcp4_answer(&config, &request, answer, &to);
	if (length > 0)
		check_answer(answer, length, &to);
	return 0;
}
