/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses and prefixes: parsing, formatting, networks. */
#include "check.h"
#include "lib/str.h"
#include "net/address.h"

static struct net_prefix prefix(const char *text)
{
	struct net_prefix prefix;

	assert_int_equal(net_prefix_parse(text, &prefix), 0);
	return prefix;
}

static void text_goes_in_and_out(void **state)
{
	static const char *const good[] = {"192.0.2.1/24", "0.0.0.0/0", "2001:db8::1/64", "::/0",
					   "fe80::1/128"};
	static const char *const bad[] = {
		"",
		"1",
		"192.0.2.1/33",
		"192.0.2/24",
		"192.0.2.1/",
		"::1/129",
		"192.0.2.1/-1",
		"192.0.2.1/+8",
		"host",
		" 192.0.2.1",
		"192.0.2.1 ",
		"::1%lo",
		"192.0.2.1/8/8",
		":/0",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1",
	};
	char text[NET_ADDRESS_TEXT];
	struct net_prefix ignored;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct net_prefix one = prefix(good[i]);

		assert_string_equal(net_prefix_format(&one, text), good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(net_prefix_parse(bad[i], &ignored), -EINVAL);
	assert_int_equal(prefix("192.0.2.1").length, 32);
	assert_int_equal(prefix("::1").length, 128);
	assert_string_equal(net_address_format(&(struct net_address){}, text), "");
}

static void networks_lose_their_host_bits(void **state)
{
	static const struct {
		const char *given, *network;
	} rows[] = {
		{"192.0.2.255/24", "192.0.2.0/24"},
		{"192.0.2.255/28", "192.0.2.240/28"},
		{"192.0.2.255/0", "0.0.0.0/0"},
		{"192.0.2.255/32", "192.0.2.255/32"},
		{"10.255.255.255/9", "10.128.0.0/9"},
		{"2001:db8:ffff::1/33", "2001:db8:8000::/33"},
		{"2001:db8::ffff/128", "2001:db8::ffff/128"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_prefix given = prefix(rows[i].given);
		struct net_prefix network = net_prefix_network(&given);
		char text[NET_ADDRESS_TEXT];

		assert_string_equal(net_prefix_format(&network, text), rows[i].network);
	}
}

static void a_prefix_contains_its_own_addresses_only(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool contains;
	} rows[] = {
		{"10.0.0.0/8", "10.200.3.0/28", true},	 {"10.0.0.0/28", "10.0.0.16/28", false},
		{"10.0.0.0/27", "10.0.0.16/28", true},	 {"0.0.0.0/0", "192.0.2.1/32", true},
		{"192.0.2.1/32", "192.0.2.1/32", true},	 {"192.0.2.1/32", "192.0.2.2/32", false},
		{"::/0", "192.0.2.1/32", false},	 {"fd00::/8", "fd12:3456::/64", true},
		{"fd00::/64", "fd00:0:0:1::/64", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_prefix outer = prefix(rows[i].prefix), inner = prefix(rows[i].address);

		assert_int_equal(net_prefix_contains(&outer, &inner.address), rows[i].contains);
	}
}

static void addresses_are_counted_from_the_network(void **state)
{
	static const struct {
		const char *prefix;
		uint32_t number;
		const char *address;
	} rows[] = {
		{"10.1.2.16/28", 1, "10.1.2.17"},	  {"10.1.2.31/28", 2, "10.1.2.18"},
		{"10.1.255.0/16", 65535, "10.1.255.255"}, {"fd00:1::/64", 1, "fd00:1::1"},
		{"fd00:1::/64", 65536, "fd00:1::1:0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_prefix one = prefix(rows[i].prefix);
		struct net_address address = net_prefix_address(&one, rows[i].number);
		char text[NET_ADDRESS_TEXT];

		assert_string_equal(net_address_format(&address, text), rows[i].address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_goes_in_and_out),
		cmocka_unit_test(networks_lose_their_host_bits),
		cmocka_unit_test(a_prefix_contains_its_own_addresses_only),
		cmocka_unit_test(addresses_are_counted_from_the_network),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
