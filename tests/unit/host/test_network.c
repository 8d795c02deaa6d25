/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which parts of a network are planned in which case, the addresses that result from Address= and
 * Gateway=, and the rules of the packet filter. tests/system/test_same_as_nspawn.py compares names
 * and hardware addresses on real interfaces.
 */
#include "check.h"
#include "firewall/firewall.h"
#include "host/network/network.h"
#include "lib/str.h"

static void only_what_is_to_be_done_is_planned(void **state)
{
	static const struct {
		bool is_private, has_veth;
		const char *netns_path;
		size_t ops;
		const char *data;
	} rows[] = {
		{false, false, NULL, 1, NULL},
		{true, false, NULL, 1, NULL}, /* loopback alone: the holder makes it */
		{true, true, NULL, 2, "veth ve-m to host0, addresses by nobody"},
		{true, false, "/run/netns/x", 2, "joins /run/netns/x"},
	};
	struct host_facts facts = {.network.link = "ve-m"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec spec = {.machine = (char *)"m",
				    .private_network = rows[i].is_private,
				    .netns_path = (char *)rows[i].netns_path,
				    .veth = rows[i].has_veth};
		autoplan struct plan plan = {};

		host_module_network.plan(&spec, &facts, &plan);
		assert_int_equal(plan.count, rows[i].ops);
		assert_int_equal(plan.ops[0].kind, PLAN_OP_AWAIT);
		if (rows[i].data)
			assert_string_equal(plan.ops[1].data, rows[i].data);
	}
}

static struct net_address address(const char *text)
{
	struct net_address parsed = {};

	if (text)
		assert_int_equal(net_address_parse(text, &parsed), 0);
	return parsed;
}

static void assert_address(const struct net_address *got, const char *want)
{
	char text[NET_ADDRESS_TEXT];

	assert_string_equal(net_address_format(got, text), want ? want : "");
}

static struct host_network leased(void)
{
	return (struct host_network){
		.has_ipv6 = true,
		.server = HOST_NETWORK_REDD,
		.lease = {.subnet4 = {address("10.1.2.16"), 28},
			  .host4 = address("10.1.2.17"),
			  .guest4 = address("10.1.2.18"),
			  .subnet6 = {address("fd00::"), 64},
			  .host6 = address("fd00::1"),
			  .guest6 = address("fd00::2")},
	};
}

static void static_addresses_take_the_place_of_the_leased(void **state)
{
	static const struct {
		const char *prefix, *gateway;
		bool is_ours;
		const char *guest4, *host4, *gateway4, *host6, *gateway6;
	} rows[] = {
		{NULL, NULL, true, "10.1.2.18", "10.1.2.17", "10.1.2.17", "fd00::1", "fd00::1"},
		{"192.0.2.9/24", NULL, true, "192.0.2.9", "192.0.2.1", "192.0.2.1", "fd00::1",
		 "fd00::1"},
		/* The first address belongs to the machine. */
		{"192.0.2.1/24", NULL, true, "192.0.2.1", "192.0.2.2", "192.0.2.2", "fd00::1",
		 "fd00::1"},
		{"192.0.2.9/24", "192.0.2.77", true, "192.0.2.9", "192.0.2.77", "192.0.2.77",
		 "fd00::1", "fd00::1"},
		/* No address is left for the host's end. */
		{"192.0.2.9/32", NULL, true, "192.0.2.9", NULL, NULL, "fd00::1", "fd00::1"},
		{"192.0.2.9/32", "198.51.100.1", true, "192.0.2.9", "198.51.100.1", "198.51.100.1",
		 "fd00::1", "fd00::1"},
		{"2001:db8::9/64", NULL, true, "10.1.2.18", "10.1.2.17", "10.1.2.17", "2001:db8::1",
		 "2001:db8::1"},
		/* Another machine of the zone is the router. */
		{NULL, "10.1.2.30", true, "10.1.2.18", "10.1.2.17", "10.1.2.30", "fd00::1",
		 "fd00::1"},
		/* On a bridge of the user, the host has no address of redd's. */
		{"192.0.2.9/24", NULL, false, "192.0.2.9", NULL, NULL, "fd00::1", "fd00::1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_network network = leased();
		struct net_prefix prefix = {};
		struct net_address gateway = address(rows[i].gateway);
		struct spec spec = {.machine = (char *)"m",
				    .addresses = &prefix,
				    .address_count = rows[i].prefix != NULL,
				    .gateways = &gateway,
				    .gateway_count = rows[i].gateway != NULL};

		if (rows[i].prefix)
			assert_int_equal(net_prefix_parse(rows[i].prefix, &prefix), 0);
		network_apply_static(&spec, rows[i].is_ours, &network);
		assert_address(&network.lease.guest4, rows[i].guest4);
		assert_address(&network.lease.host4, rows[i].host4);
		assert_address(&network.gateway4, rows[i].gateway4);
		assert_address(&network.lease.host6, rows[i].host6);
		assert_address(&network.gateway6, rows[i].gateway6);
	}
}

static void without_ipv6_none_is_given(void **state)
{
	struct host_network network = leased();
	struct net_prefix prefix = {address("2001:db8::9"), 64};
	struct spec spec = {.machine = (char *)"m", .addresses = &prefix, .address_count = 1};

	network.has_ipv6 = false;
	network_apply_static(&spec, true, &network);
	assert_address(&network.lease.guest4, "10.1.2.18");
	assert_address(&network.lease.guest6, NULL);
	assert_address(&network.lease.host6, NULL);
	assert_address(&network.gateway6, NULL);
	assert_int_equal(network.lease.subnet6.address.family, AF_UNSPEC);
}

static void the_filter_checks_what_is_known(void **state)
{
	struct net_prefix prefixes[2] = {{address("192.0.2.9"), 24}, {address("192.0.2.10"), 24}};
	struct spec spec = {
		.machine = (char *)"m", .veth = true, .check_source = true, .addresses = prefixes};
	struct host_network network = leased();
	struct firewall_config rules;

	strcpy(network.link, "ve-m");
	host_firewall_config(&spec, &network, &rules);
	assert_string_equal(rules.link, "ve-m");
	assert_true(rules.serves);
	assert_address(&rules.guest4, "10.1.2.18");
	assert_address(&rules.host6, "fd00::1");
	assert_int_equal(rules.port_count, 0);
	assert_false(net_address_is_set(&rules.target4));

	/* On a bridge, this would open the host's 127.0.0.1 to others. */
	assert_true(rules.translates_loopback);
	strcpy(network.bridge, "br0");
	host_firewall_config(&spec, &network, &rules);
	assert_false(rules.translates_loopback);

	/* With two addresses of a family, one rule doesn't suffice. */
	spec.address_count = 2;
	host_firewall_config(&spec, &network, &rules);
	assert_address(&rules.guest4, NULL);
	assert_address(&rules.guest6, "fd00::2");

	/* Addresses that others assign are unknown. */
	network.server = HOST_NETWORK_NETWORKD;
	host_firewall_config(&spec, &network, &rules);
	assert_false(rules.serves);
	assert_address(&rules.guest6, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_to_be_done_is_planned),
		cmocka_unit_test(static_addresses_take_the_place_of_the_leased),
		cmocka_unit_test(without_ipv6_none_is_given),
		cmocka_unit_test(the_filter_checks_what_is_known),
	};

	return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
