/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's tables, read back from the kernel by nft(8). tests/system/test_firewall.py tests
 * their effect on packets.
 */
#include <sys/personality.h>

#include "firewall/firewall.h"
#include "netfilter.h"

static bool has_netfilter;

static struct net_address address(const char *text)
{
	struct net_address parsed;

	assert_int_equal(net_address_parse(text, &parsed), 0);
	return parsed;
}

static struct firewall_rules usual(void)
{
	struct firewall_rules rules = {
		.machine = "m",
		.link = "lo",
		.masquerade = true,
		.translates_loopback = true,
		.check_source = true,
		.serves = true,
		.guest_mac = {2, 0, 0, 0, 0, 2},
		.guest4 = address("192.0.2.2"),
		.host4 = address("192.0.2.1"),
		.host6 = address("fd00::1"),
		.target4 = address("192.0.2.2"),
		.target6 = address("fd00::2"),
	};

	assert_int_equal(net_prefix_parse("192.0.2.1/28", &rules.subnet4), 0);
	assert_int_equal(net_prefix_parse("fd00::1/64", &rules.subnet6), 0);
	return rules;
}

static void assert_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no \"%s\" in:\n%s", line, text);
}

static void set(int firewall, const struct firewall_rules *rules)
{
	if (!has_netfilter)
		skip();
	assert_true(firewall >= 0);
	assert_int_equal(firewall_set(firewall, rules), 0);
}

static void ports_are_translated(void **state)
{
	static const char *const lines[] = {
		"type nat hook prerouting priority dstnat - 1",
		"type nat hook output priority -101",
		"ipv4 tcp dport 8080 fib daddr type local dnat ip to 192.0.2.2:80\n",
		"ip6 daddr != ::1 ip6 daddr != fe80::/10 fib daddr type local dnat ip6 to [",
		"[fd00::2]:80\n",
		"ipv4 udp dport 10-20 fib daddr type local dnat ip to 192.0.2.2\n",
		"dnat ip to 192.0.2.2:sctp dport map { 1 : 11, 2 : 12 }\n",
		"tcp dport 22 ip daddr 198.51.100.1 dnat ip to 192.0.2.2\n",
	};
	struct net_port ports[] = {
		{.protocol = IPPROTO_TCP, .first = 8080, .last = 8080, .guest_first = 80},
		{.protocol = IPPROTO_UDP, .first = 10, .last = 20, .guest_first = 10},
		{.protocol = IPPROTO_SCTP, .first = 1, .last = 2, .guest_first = 11},
		{.protocol = IPPROTO_TCP,
		 .bind = address("198.51.100.1"),
		 .first = 22,
		 .last = 22,
		 .guest_first = 22},
	};
	struct firewall_rules rules = usual();
	autoclose int firewall = firewall_open();
	autofree char *text = NULL;

	rules.ports = ports;
	rules.port_count = ARRAY_SIZE(ports);
	set(firewall, &rules);
	text = netfilter_nft("list table inet redd-m");
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_line(text, lines[i]);
}

static void what_is_not_asked_for_costs_no_chain(void **state)
{
	struct firewall_rules rules = usual();
	autoclose int firewall = firewall_open();
	autofree char *before = NULL, *after = NULL, *netdev = NULL;

	set(firewall, &rules);
	before = netfilter_nft("list table inet redd-m");
	assert_line(before, "hook postrouting priority srcnat + 1");
	assert_line(before, "ip saddr 192.0.2.0/28 oifname != \"lo\" oifname != \"ve-*\" oifname "
			    "!= \"vb-*\" oifname != \"vz-*\" masquerade");
	assert_null(strstr(before, "prerouting"));
	assert_null(strstr(before, "ct status"));
	rules.masquerade = false;
	rules.link = NULL;
	set(firewall, &rules);
	after = netfilter_nft("list table inet redd-m");
	assert_null(strstr(after, "chain"));
	netdev = netfilter_nft("list tables netdev");
	assert_string_equal(netdev, "");
}

/* security row: N17 */
/* When the owner's socket is closed, the table that confines the machine stays; the other one is
 * removed. */
static void what_confines_outlives_its_owner(void **state)
{
	static const struct {
		unsigned long personality;
		const char *tables;
	} rows[] = {
		{PER_LINUX, "table netdev redd-m\n"},
		/* If the kernel reports version 2.6, redd doesn't try newer features. */
		{PER_LINUX | UNAME26, "table netdev redd-m/kept\n"},
	};
	struct firewall_rules rules = usual();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int firewall = firewall_open();
		autofree char *inet = NULL, *netdev = NULL, *rest = NULL;

		(void)personality(rows[i].personality);
		set(firewall, &rules);
		(void)personality(PER_LINUX);
		(void)close(firewall);
		inet = netfilter_nft("list tables inet");
		assert_string_equal(inet, "");
		netdev = netfilter_nft("list tables netdev");
		/* This kernel may lack the feature, whatever its version. */
		if (!streq(netdev, rows[1].tables))
			assert_string_equal(netdev, rows[i].tables);
		assert_int_equal(firewall_close(firewall_open(), "m"), 0);
		rest = netfilter_nft("list tables");
		assert_string_equal(rest, "");
	}
}

static void a_second_owner_is_refused(void **state)
{
	struct firewall_rules rules = usual();
	autoclose int first = firewall_open(), second = firewall_open();

	set(first, &rules);
	assert_int_equal(firewall_set(second, &rules), -EPERM);
	assert_int_equal(firewall_set(first, &rules), 0);
}

static void the_link_is_checked(void **state)
{
	static const char *const lines[] = {
		"@ll,96,16 0x8100 drop",
		"@ll,96,16 0x88a8 drop",
		"@ll,48,48 != 0x20000000002 drop",
		"arp saddr ether != 02:00:00:00:00:02 drop",
		"ip daddr 127.0.0.0/8 drop",
		"udp dport 67 drop",
		"ip daddr 192.0.2.1 udp dport 53 drop",
		"ip6 daddr fd00::1 udp dport 53 drop",
		"icmpv6 type nd-router-advert drop",
		"icmpv6 type nd-redirect drop",
		"icmp type redirect drop",
		"arp saddr ip != 192.0.2.2 arp saddr ip != 0.0.0.0 drop",
		"ip saddr 0.0.0.0 udp sport 68 accept",
		"ip saddr != 192.0.2.2 drop",
		"ip6 saddr != fe80::/10 ip6 saddr != fd00::/64 ip6 saddr != :: drop",
	};
	struct firewall_rules rules = usual();
	autoclose int firewall = firewall_open();
	autofree char *text = NULL;
	const char *at;

	set(firewall, &rules);
	text = netfilter_nft("list table netdev redd-m");
	/* The order matters: packets for redd's services are dropped before addresses are accepted.
	 */
	at = text;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_line(at, lines[i]);
		at = strstr(at, lines[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_translated),
		cmocka_unit_test(what_is_not_asked_for_costs_no_chain),
		cmocka_unit_test(what_confines_outlives_its_owner),
		cmocka_unit_test(a_second_owner_is_refused),
		cmocka_unit_test(the_link_is_checked),
	};

	has_netfilter = netfilter_enter();
	return cmocka_run_group_tests_name("firewall", tests, NULL, NULL);
}
