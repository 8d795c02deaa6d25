/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames: those of real programs, and malformed ones. */
#include "check.h"
#include "net/frame.h"
#include "net/wire.h"

#define AT_IP 14
#define AT_UDP4 34

/* As sent by busybox's udhcpc, shortened: 0.0.0.0:68 to 255.255.255.255:67, four bytes. */
static const uint8_t udp4[] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x02, 0x01,
	0x08, 0x00, 0x45, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11,
	0x7a, 0xce, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x44,
	0x00, 0x43, 0x00, 0x0c, 0x28, 0x86, 'r',  'e',	'd',  'd',
};

/* The kernel's router solicitation: fe80::ff:fe00:201 to ff02::2. */
static const uint8_t icmp6[] = {
	0x33, 0x33, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x02, 0x01, 0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a, 0xff, 0xfe, 0x80, 0,	  0,	0,    0,
	0,    0,    0x00, 0x00, 0x00, 0xff, 0xfe, 0x00, 0x02, 0x01, 0xff, 0x02, 0,    0,
	0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0,	  0x02, 0x85, 0x00,
	0x77, 0x2c, 0,	  0,	0,    0,    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x02, 0x01,
};

static void real_frames_are_understood(void **state)
{
	struct frame_packet packet;

	assert_int_equal(frame_parse(udp4, sizeof(udp4), true, &packet), 0);
	assert_int_equal(packet.source_port, 68);
	assert_int_equal(packet.destination_port, 67);
	assert_int_equal(packet.hop_limit, 64);
	assert_int_equal(packet.size, 4);
	assert_memory_equal(packet.payload, "redd", 4);
	assert_int_equal(packet.source_mac[5], 1);
	assert_int_equal(packet.destination.v4.s_addr, INADDR_BROADCAST);

	assert_int_equal(frame_parse(icmp6, sizeof(icmp6), true, &packet), 0);
	assert_int_equal(packet.protocol, IPPROTO_ICMPV6);
	assert_int_equal(packet.hop_limit, 255);
	assert_int_equal(packet.size, 16);
	assert_int_equal(packet.payload[0], 133);
}

/* RFC 1071, implemented literally, to compare with. */
static void mend_ip4(uint8_t *ip)
{
	uint32_t sum = 0;

	wire_put16(ip + 10, 0);
	for (int i = 0; i < (ip[0] & 15) * 4; i += 2)
		sum += wire_get16(ip + i);
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	wire_put16(ip + 10, (uint16_t)~sum);
}

struct change {
	const char *what;
	size_t at;
	uint16_t value;
	int error;
	bool is_mended; /* the IPv4 header's checksum */
};

static void check_change(const uint8_t *frame, size_t size, const struct change *change)
{
	uint8_t copy[128];
	struct frame_packet packet;
	int r;

	memcpy(copy, frame, size);
	wire_put16(copy + change->at, change->value);
	if (change->is_mended)
		mend_ip4(copy + AT_IP);
	r = frame_parse(copy, size, true, &packet);
	if (r != change->error)
		fail_msg("%s: %d instead of %d", change->what, r, change->error);
}

/* security row: N09 */
static void what_is_odd_is_refused(void **state)
{
	static const struct change changes4[] = {
		{"nothing", 0, 0xffff, 0, false},
		{"ARP", 12, 0x0806, -ENOMSG, false},
		{"a VLAN", 12, 0x8100, -ENOMSG, false},
		{"IPv6 by its kind alone", 12, 0x86dd, -EBADMSG, false},
		{"version 6", AT_IP, 0x6500, -EBADMSG, true},
		{"a header of 16 bytes", AT_IP, 0x4400, -EBADMSG, true},
		{"options beyond the packet", AT_IP, 0x4f00, -EBADMSG, false},
		{"a length beyond the frame", AT_IP + 2, 33, -EBADMSG, true},
		{"a length within the header", AT_IP + 2, 19, -EBADMSG, true},
		{"a length shorter than UDP says", AT_IP + 2, 31, -EBADMSG, true},
		{"no room for UDP", AT_IP + 2, 27, -EBADMSG, true},
		{"a first fragment", AT_IP + 6, 0x2000, -ENOMSG, true},
		{"a later fragment", AT_IP + 6, 0x0001, -ENOMSG, true},
		{"do not fragment", AT_IP + 6, 0x4000, 0, true},
		{"TCP", AT_IP + 8, 0x4006, -ENOMSG, true},
		{"a wrong header checksum", AT_IP + 10, 0x7acf, -EBADMSG, false},
		{"a UDP length too large", AT_UDP4 + 4, 13, -EBADMSG, false},
		{"a UDP length too small", AT_UDP4 + 4, 11, -EBADMSG, false},
		{"a wrong UDP checksum", AT_UDP4 + 6, 0x2887, -EBADMSG, false},
		{"no UDP checksum", AT_UDP4 + 6, 0, 0, false},
	};
	static const struct change changes6[] = {
		{"version 4", AT_IP, 0x4000, -EBADMSG, false},
		{"a length beyond the frame", AT_IP + 4, 17, -EBADMSG, false},
		{"a length that cuts", AT_IP + 4, 15, -EBADMSG, false},
		{"a length of nothing", AT_IP + 4, 0, -EBADMSG, false},
		{"an extension header", AT_IP + 6, 0x00ff, -ENOMSG, false},
		{"a fragment", AT_IP + 6, 0x2cff, -ENOMSG, false},
		{"UDP that is none", AT_IP + 6, 0x11ff, -EBADMSG, false},
		{"a wrong checksum", AT_IP + 42, 0x772d, -EBADMSG, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes4); i++)
		check_change(udp4, sizeof(udp4), &changes4[i]);
	for (size_t i = 0; i < ARRAY_SIZE(changes6); i++)
		check_change(icmp6, sizeof(icmp6), &changes6[i]);
}

static void every_cut_is_refused(void **state)
{
	struct frame_packet packet;

	for (size_t size = 0; size < sizeof(udp4); size++)
		assert_true(frame_parse(udp4, size, true, &packet) < 0);
	for (size_t size = 0; size < sizeof(icmp6); size++)
		assert_true(frame_parse(icmp6, size, true, &packet) < 0);
}

static void padding_behind_the_packet_is_passed_over(void **state)
{
	uint8_t frame[60] = {};
	struct frame_packet packet;

	memcpy(frame, udp4, sizeof(udp4));
	assert_int_equal(frame_parse(frame, sizeof(frame), true, &packet), 0);
	assert_int_equal(packet.size, 4);
}

static void checksum_that_was_left_to_hardware_does_not_count(void **state)
{
	uint8_t frame[sizeof(udp4)];
	struct frame_packet packet;

	memcpy(frame, udp4, sizeof(frame));
	wire_put16(frame + AT_UDP4 + 6, 0x1234);
	assert_int_equal(frame_parse(frame, sizeof(frame), true, &packet), -EBADMSG);
	assert_int_equal(frame_parse(frame, sizeof(frame), false, &packet), 0);
}

static struct frame_packet example(int family, uint8_t protocol)
{
	struct frame_packet packet = {.source.family = family,
				      .destination.family = family,
				      .protocol = protocol,
				      .hop_limit = 64,
				      .source_port = protocol == IPPROTO_UDP ? 53 : 0,
				      .destination_port = protocol == IPPROTO_UDP ? 40000 : 0};

	memset(packet.source.bytes, 0x11, family == AF_INET ? 4 : 16);
	memset(packet.destination.bytes, 0x22, family == AF_INET ? 4 : 16);
	memset(packet.source_mac, 2, ETH_ALEN);
	memset(packet.destination_mac, 4, ETH_ALEN);
	return packet;
}

static void what_is_built_is_understood(void **state)
{
	static const struct {
		int family;
		uint8_t protocol;
	} kinds[] = {{AF_INET, IPPROTO_UDP}, {AF_INET6, IPPROTO_UDP}, {AF_INET6, IPPROTO_ICMPV6}};
	uint8_t payload[600], frame[700];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		for (size_t size = 4; size <= sizeof(payload); size += 149) {
			struct frame_packet packet =
				example(kinds[kind].family, kinds[kind].protocol);
			struct frame_packet again;
			ssize_t built;

			packet.payload = payload;
			packet.size = size;
			built = frame_build(&packet, frame, sizeof(frame));
			assert_true(built > 0);
			assert_int_equal(frame_parse(frame, (size_t)built, true, &again), 0);
			assert_int_equal(again.size, size);
			assert_int_equal(again.destination_port, packet.destination_port);
			assert_true(net_address_equal(&again.source, &packet.source));
			assert_memory_equal(again.source_mac, packet.source_mac, ETH_ALEN);
			assert_int_equal(frame_build(&packet, frame, (size_t)built - 1), -EMSGSIZE);
		}
}

/* 0 means "no checksum", so 0xffff is sent instead. */
static void no_checksum_is_zero(void **state)
{
	struct frame_packet packet = example(AF_INET, IPPROTO_UDP), again;
	uint8_t payload[2], frame[100];
	int zeros = 0;

	packet.payload = payload;
	packet.size = sizeof(payload);
	for (unsigned value = 0; value <= 0xffff; value++) {
		ssize_t built;

		wire_put16(payload, (uint16_t)value);
		built = frame_build(&packet, frame, sizeof(frame));
		assert_int_not_equal(wire_get16(frame + AT_UDP4 + 6), 0);
		zeros += wire_get16(frame + AT_UDP4 + 6) == 0xffff;
		assert_int_equal(frame_parse(frame, (size_t)built, true, &again), 0);
	}
	assert_true(zeros > 0);
}

static void what_no_packet_can_hold_is_refused(void **state)
{
	struct frame_packet packet = example(AF_INET, IPPROTO_UDP);
	uint8_t *big = calloc(2, 65536);

	assert_non_null(big);
	packet.payload = big;
	packet.size = 65535 - 20 - 8 + 1;
	assert_int_equal(frame_build(&packet, big, 2 * 65536), -EMSGSIZE);
	packet.size--;
	assert_int_equal(frame_build(&packet, big, 2 * 65536), 14 + 65535);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_frames_are_understood),
		cmocka_unit_test(what_is_odd_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(padding_behind_the_packet_is_passed_over),
		cmocka_unit_test(checksum_that_was_left_to_hardware_does_not_count),
		cmocka_unit_test(what_is_built_is_understood),
		cmocka_unit_test(no_checksum_is_zero),
		cmocka_unit_test(what_no_packet_can_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
