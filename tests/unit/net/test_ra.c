/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Valid router solicitations, and advertisements byte by byte. */
#include "check.h"
#include "net/ra.h"
#include "net/wire.h"

static const uint8_t with_source[] = {133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 1};

static struct frame_packet solicitation(const uint8_t *data, size_t size)
{
	struct frame_packet packet = {
		.protocol = IPPROTO_ICMPV6, .hop_limit = 255, .payload = data, .size = size};

	packet.source = (struct net_address){.family = AF_INET6, .bytes = {0xfe, 0x80, [15] = 1}};
	return packet;
}

/* security row: N09 */
static void solicitations_are_checked(void **state)
{
	static const struct {
		uint8_t data[24];
		size_t size;
		int result;
	} rows[] = {
		{{133}, 8, 0},
		{{133}, 7, -EBADMSG},
		{{134}, 8, -EBADMSG},
		{{133, 1}, 8, -EBADMSG},
		{{133, [8] = 14, 2}, 24, 0}, /* a nonce, which redd ignores */
		{{133, [8] = 14, 1, [16] = 1, 1}, 24, 0},
		{{133, [8] = 14, 0}, 16, -EBADMSG}, /* an option of length 0: parsing must end */
		{{133, [8] = 14, 2}, 16, -EBADMSG},
		{{133, [8] = 14, 1, [16] = 14}, 17, -EBADMSG},
		{{133, [8] = 14, 1, [16] = 14, 1}, 18, -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct frame_packet packet = solicitation(rows[i].data, rows[i].size);

		assert_int_equal(ra_check_solicitation(&packet), rows[i].result);
	}
}

/* security row: N09 */
static void only_neighbours_may_ask(void **state)
{
	struct frame_packet packet = solicitation(with_source, sizeof(with_source));

	assert_int_equal(ra_check_solicitation(&packet), 0);
	packet.hop_limit = 254;
	assert_int_equal(ra_check_solicitation(&packet), -EBADMSG);
	packet = solicitation(with_source, sizeof(with_source));
	packet.protocol = IPPROTO_UDP;
	assert_int_equal(ra_check_solicitation(&packet), -EBADMSG);
	/* RFC 4861, 6.1.1: a sender without address can't give its link-layer address. */
	packet = solicitation(with_source, sizeof(with_source));
	memset(packet.source.bytes, 0, 16);
	assert_int_equal(ra_check_solicitation(&packet), -EBADMSG);
	packet.size = 8;
	assert_int_equal(ra_check_solicitation(&packet), 0);
}

static void advertisement_says_all(void **state)
{
	static const struct net_address servers[] = {
		{.family = AF_INET, .bytes = {10, 77, 1, 1}},
		{.family = AF_INET6, .bytes = {0xfd, 0x77, [15] = 1}},
	};
	struct ra_config config = {
		.router_mac = {2, 0, 0, 0, 1, 1},
		.prefix = {.address = {.family = AF_INET6, .bytes = {0xfd, 0x77, [15] = 9}},
			   .length = 64},
		.name_servers = servers,
		.name_server_count = 2,
		.mtu = 1500,
	};
	static const uint8_t wanted[] = {
		134, 0,	 0,    0,   64,	  0,	9000 >> 8, 9000 & 255, 0,	  0,	      0,
		0,   0,	 0,    0,   0,	  1,	1,	   2,	       0,	  0,	      0,
		1,   1,	 5,    1,   0,	  0,	0,	   0,	       1500 >> 8, 1500 & 255, 3,
		4,   64, 0xc0, 255, 255,  255,	255,	   255,	       255,	  255,	      255,
		0,   0,	 0,    0,   0xfd, 0x77, 0,	   0,	       0,	  0,	      0,
		0,   0,	 0,    0,   0,	  0,	0,	   0,	       0,	  25,	      3,
		0,   0,	 255,  255, 255,  255,	0xfd,	   0x77,       0,	  0,	      0,
		0,   0,	 0,    0,   0,	  0,	0,	   0,	       0,	  0,	      1,
	};
	uint8_t message[RA_MESSAGE_MAX];

	assert_int_equal(ra_build(&config, message), sizeof(wanted));
	assert_memory_equal(message, wanted, sizeof(wanted));
	/* Without IPv6 name servers and without an MTU, these options are missing. */
	config.name_server_count = 1;
	config.mtu = 0;
	assert_int_equal(ra_build(&config, message), 16 + 8 + 32);
}

static void many_name_servers_fit(void **state)
{
	struct net_address servers[20];
	struct ra_config config = {.prefix = {.address.family = AF_INET6, .length = 64},
				   .name_servers = servers,
				   .name_server_count = ARRAY_SIZE(servers),
				   .mtu = 1500};
	uint8_t message[RA_MESSAGE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		servers[i] = (struct net_address){.family = AF_INET6};
	assert_int_equal(ra_build(&config, message), RA_MESSAGE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(solicitations_are_checked),
		cmocka_unit_test(only_neighbours_may_ask),
		cmocka_unit_test(advertisement_says_all),
		cmocka_unit_test(many_name_servers_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
