/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's tables as nft(8) reads them back from the kernel, and as they are printed. What they
 * do to packets is tests/system/test_firewall.py.
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

static struct firewall_config usual(void)
{
	struct firewall_config rules = {
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

static void set(int firewall, const struct firewall_config *rules)
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
	struct firewall_config rules = usual();
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
	struct firewall_config rules = usual();
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
	struct firewall_config rules = usual();

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
	struct firewall_config rules = usual();
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
	struct firewall_config rules = usual();
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

static char *printed(const struct firewall_config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(firewall_print(config, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static size_t count_lines(const char *text, const char *begin)
{
	size_t count = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n') + 1)
		count += strncmp(line, begin, strlen(begin)) == 0;
	return count;
}

/* What is printed is what is set: as many rules in each chain as the kernel has. */
static void all_rules_are_printed(void **state)
{
	struct net_port ports[] = {
		{.protocol = IPPROTO_TCP, .first = 8080, .last = 8080, .guest_first = 80},
		{.protocol = IPPROTO_UDP, .first = 1, .last = 2, .guest_first = 11},
	};
	struct firewall_config config = usual();
	autoclose int firewall = firewall_open();
	autofree char *text = NULL, *inet = NULL, *netdev = NULL;

	config.ports = ports;
	config.port_count = ARRAY_SIZE(ports);
	text = printed(&config);
	assert_line(text, "  inet prerouting: meta nfproto ipv4 meta l4proto tcp th dport 8080 fib "
			  "daddr type local dnat to 192.0.2.2:80\n");
	assert_line(text,
		    "  inet output: meta nfproto ipv6 meta l4proto udp th dport 1-2 ip6 daddr "
		    "!= ::1 ip6 daddr != fe80::/10 fib daddr type local dnat to "
		    "[fd00::2]:11-12\n");
	assert_line(text, "  netdev ingress: ether saddr != 02:00:00:00:00:02 drop\n");
	set(firewall, &config);
	inet = netfilter_nft("-a list table inet redd-m | grep -c 'handle.*' ");
	netdev = netfilter_nft("list table netdev redd-m | grep -cE '(drop|accept)$'");
	assert_int_equal(count_lines(text, "  netdev "), strtoul(netdev, NULL, 10));
	/* The table and its three chains have handles, too. */
	assert_int_equal(count_lines(text, "  inet ") + 4, strtoul(inet, NULL, 10));
}

/* Nobody looks for a port in vain. */
static void a_port_without_a_rule_is_printed(void **state)
{
	struct net_port ports[] = {
		{.protocol = IPPROTO_TCP,
		 .bind = address("::1"),
		 .first = 8080,
		 .last = 8080,
		 .guest_first = 80},
	};
	struct firewall_config config = {.ports = ports, .port_count = 1};
	autofree char *unknown = printed(&config), *known = NULL;

	assert_string_equal(unknown, "  port tcp:[::1]:8080:80: forwarded when the machine's "
				     "address is known\n");
	config.target6 = address("fd00::2");
	config.target4 = address("192.0.2.2");
	known = printed(&config);
	assert_line(known, "  port tcp:[::1]:8080:80: by the supervisor's proxy\n");
}

/* Rules in others' chains are part of the same value. */
static void accepts_are_printed(void **state)
{
	struct firewall_config config = {
		.route_link = "vz-lab",
		.accept_in = FIREWALL_OTHERS_FORWARD4 | FIREWALL_OTHERS_DOCKER6,
	};
	autofree char *text = printed(&config);

	assert_string_equal(
		text, "  iptables FORWARD: oifname \"vz-lab\" ct state established,related,dnat "
		      "accept\n"
		      "  iptables FORWARD: iifname \"vz-lab\" accept\n"
		      "  ip6tables DOCKER-USER: oifname \"vz-lab\" ct state "
		      "established,related,dnat accept\n"
		      "  ip6tables DOCKER-USER: iifname \"vz-lab\" accept\n");
}

/* One transaction: a chain of others that is gone keeps the machine's own tables away, too. */
static void accepts_are_set_with_the_rest_or_not_at_all(void **state)
{
	struct firewall_config config = usual();
	autoclose int firewall = firewall_open();
	autofree char *tables = NULL, *filter = NULL;

	config.route_link = "lo";
	config.accept_in = FIREWALL_OTHERS_FORWARD4;
	if (!has_netfilter)
		skip();
	assert_int_not_equal(firewall_set(firewall, &config), 0);
	tables = netfilter_nft("list tables inet");
	assert_string_equal(tables, "");
	netfilter_load("table ip filter {\nchain FORWARD {\n}\n}");
	assert_int_equal(firewall_set(firewall, &config), 0);
	filter = netfilter_nft("list table ip filter");
	assert_line(filter, "iifname \"lo\" counter packets 0 bytes 0 accept comment \"redd:m\"");
	netfilter_load("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_translated),
		cmocka_unit_test(what_is_not_asked_for_costs_no_chain),
		cmocka_unit_test(what_confines_outlives_its_owner),
		cmocka_unit_test(a_second_owner_is_refused),
		cmocka_unit_test(the_link_is_checked),
		cmocka_unit_test(all_rules_are_printed),
		cmocka_unit_test(a_port_without_a_rule_is_printed),
		cmocka_unit_test(accepts_are_printed),
		cmocka_unit_test(accepts_are_set_with_the_rest_or_not_at_all),
	};

	has_netfilter = netfilter_enter();
	return cmocka_run_group_tests_name("firewall", tests, NULL, NULL);
}
