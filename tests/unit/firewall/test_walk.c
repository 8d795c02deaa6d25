/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether other programs' filters would drop a machine's packets. Rows from real rule sets. */
#include "fake_netlink.h"
#include "firewall/firewall.h"
#include "firewall/ruleset.h"
#include "firewall/walk.h"
#include "kernel/nft.h"
#include "netfilter.h"

#define BASE "type filter hook forward priority 0; policy "
#define CHAIN(policy, rules) "table inet f {\nchain c {\n" BASE policy ";\n" rules "\n}\n}\n"
#define BY_POLICY "chain c of table inet f (policy drop)"
#define BY_RULE "chain c of table inet f (a rule drops)"
#define BOTH "iifname \"ve-m\" accept\noifname \"ve-m\" accept\n"

static bool has_netfilter;

static const struct {
	const char *what; /* NULL: nothing blocks */
	const char *rules;
} rows[] = {
	{NULL, ""},
	{NULL, CHAIN("accept", "")},
	{BY_POLICY, CHAIN("drop", "")},
	{NULL, CHAIN("drop", "accept")},
	{NULL, CHAIN("drop", BOTH)},
	{NULL, CHAIN("drop", "iifname \"ve-*\" accept\noifname \"ve-*\" accept")},
	{NULL, CHAIN("drop", "iifname { \"ve-x\", \"ve-m\" } accept\noifname \"ve-m\" accept")},
	{NULL, CHAIN("drop", "iifname vmap { \"ve-m\" : accept, \"b\" : drop }\noifname \"ve-m\" "
			     "accept")},
	/* Both directions must be accepted. */
	{BY_POLICY, CHAIN("drop", "iifname \"ve-m\" accept")},
	{BY_POLICY, CHAIN("drop", "oifname \"ve-m\" accept")},
	/* Accepts for other interfaces, ports and states don't help. */
	{BY_POLICY, CHAIN("drop", "iifname \"ve-m2\" oifname \"ve-m2\" accept")},
	{BY_POLICY, CHAIN("drop", "iifname { \"br0\", \"eth1\" } accept")},
	{BY_POLICY, CHAIN("drop", "iifname != { \"ve-m\", \"eth1\" } accept")},
	{BY_POLICY, CHAIN("drop", "tcp dport 22 accept\nmeta l4proto icmp accept")},
	{BY_POLICY, CHAIN("drop", "ct state established,related accept")},
	{BY_POLICY, CHAIN("drop", "ct state vmap { established : accept, invalid : drop }")},
	{BY_POLICY, CHAIN("drop", "meta mark 7 accept")},
	{BY_POLICY, CHAIN("drop", "iifname \"ve-m\" tcp dport 80 accept")},
	/* As with firewalld: a forwarded port is accepted by its state. */
	{BY_RULE, CHAIN("accept", "ct status dnat accept\nreject")},
	{NULL, CHAIN("accept", "ct state established,related accept\nct status dnat accept\n"
			       "iifname \"ve-m\" accept\nreject")},
	{BY_RULE, CHAIN("accept", "ct status dnat accept\niifname \"ve-m\" accept\nreject")},
	{BY_POLICY, CHAIN("drop", "ct state new accept")},
	{NULL, CHAIN("drop", "iifname != \"eth1\" accept\noifname != \"eth1\" accept")},
	/* Addresses and the other interface are unknown: no warning. */
	{NULL, CHAIN("drop", "ip saddr 192.168.0.0/16 accept\nip daddr 192.168.0.0/16 accept\n"
			     "ip6 saddr fd00::/8 accept\nip6 daddr fd00::/8 accept")},
	{NULL, CHAIN("drop", "iifname \"ve-m\" oifname \"eth0\" accept\noifname \"ve-m\" accept")},
	{NULL, CHAIN("accept", "ip saddr 192.168.0.0/16 drop\nmeta mark 7 drop")},
	/* Rules that drop. */
	{BY_RULE, CHAIN("accept", "drop")},
	{BY_RULE, CHAIN("accept", "iifname \"ve-m\" drop")},
	{BY_RULE, CHAIN("drop", "reject\n" BOTH)},
	{NULL, CHAIN("accept", "iifname \"eth1\" drop\ntcp dport 25 drop")},
	{BY_RULE, CHAIN("accept", "meta nfproto ipv6 drop")},
	/* Jumps. */
	{NULL, "table inet f {\nchain u {\n" BOTH "}\nchain c {\n" BASE "drop;\njump u\n}\n}\n"},
	{BY_POLICY,
	 "table inet f {\nchain u {\nreturn\n" BOTH "}\nchain c {\n" BASE "drop;\njump u\n}\n}\n"},
	{BY_POLICY,
	 "table inet f {\nchain u { }\nchain c {\n" BASE "drop;\ngoto u\n" BOTH "}\n}\n"},
	{NULL, "table inet f {\nchain u { }\nchain c {\n" BASE "drop;\njump u\n" BOTH "}\n}\n"},
	{BY_RULE, "table inet f {\nchain u {\ndrop\n}\nchain c {\n" BASE "accept;\njump u\n}\n}\n"},
	{NULL, "table inet f {\nchain u {\ndrop\n}\nchain c {\n" BASE
	       "accept;\ntcp dport 1 jump u\niifname \"x\" jump u\n}\n}\n"},
	/* Only filters at hook forward matter. */
	{NULL,
	 "table inet f {\nchain c {\ntype filter hook input priority 0; policy drop;\n}\n}\n"},
	{NULL, "table bridge f {\nchain c {\n" BASE "drop;\n}\n}\n"},
	{"chain c of table ip6 f (policy drop)", "table ip6 f {\nchain c {\n" BASE "drop;\n}\n}\n"},
};

/* 1: something drops. */
static int look(bool has_ports, struct firewall_others *ret)
{
	int r = firewall_look_at_others(NULL, "ve-m", has_ports, ret);

	return r < 0 ? r : ret->what != NULL;
}

static void what_drops_is_named_and_nothing_else(void **state)
{
	if (!has_netfilter)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct firewall_others blocker = {};
		int r;

		netfilter_load(rows[i].rules);
		r = look(true, &blocker);
		if (r != (rows[i].what != NULL) || !streq_null(blocker.what, rows[i].what))
			fail_msg("row %zu: %d, \"%s\" for:\n%s", i, r, blocker.what ?: "",
				 rows[i].rules);
		firewall_others_done(&blocker);
	}
}

/* If the administrator allows outgoing connections, a machine without ports needs nothing else.
 */
static void ports_are_asked_for_where_there_are_any(void **state)
{
	struct firewall_others blocker = {};

	if (!has_netfilter)
		skip();
	netfilter_load(
		CHAIN("drop", "ct state established,related accept\niifname \"ve-*\" accept"));
	assert_int_equal(look(false, &blocker), 0);
	assert_int_equal(look(true, &blocker), 1);
	firewall_others_done(&blocker);
}

static void the_command_mends_it(void **state)
{
	if (!has_netfilter)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct firewall_others blocker = {};

		netfilter_load(rows[i].rules);
		if (!rows[i].what)
			continue;
		assert_int_equal(look(true, &blocker), 1);
		assert_int_equal(system(blocker.mend), 0);
		firewall_others_done(&blocker);
		assert_int_equal(look(true, &blocker), 0);
	}
}

static void a_loop_of_rules_ends(void **state)
{
	autobuf struct buf rules = {};
	char *text;

	if (!has_netfilter)
		skip();
	/* Two jumps in each of 15 chains: 2^15 paths. */
	buf_add_str(&rules, "table inet f {\nchain c15 { }\n");
	for (int i = 14; i >= 1; i--)
		buf_printf(&rules, "chain c%d {\njump c%d\njump c%d\n}\n", i, i + 1, i + 1);
	buf_add_str(&rules, "chain c {\n" BASE "drop;\njump c1\njump c1\n}\n}\n");
	assert_int_equal(buf_take(&rules, &text), 0);
	netfilter_load(text);
	free(text);
	{
		struct firewall_others blocker = {};

		assert_in_range(look(true, &blocker), 0, 1);
		firewall_others_done(&blocker);
	}
}

/* From half a ruleset, the result would be wrong. */
static void rules_that_changed_meanwhile_are_read_again(void **state)
{
	autoruleset struct firewall_ruleset ruleset = {};
	int ends[2];

	fake_netlink_open(ends);
	fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWCHAIN, NLM_F_DUMP_INTR, 0);
	fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWCHAIN, NLM_F_DUMP_INTR, 0);
	fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWCHAIN, 0, 0);
	assert_int_equal(firewall_ruleset_load(ends[0], &ruleset), 0);
	assert_int_equal(ruleset.chain_count, 1);
	assert_int_equal(fake_netlink_questions(ends[1]), 3);
	fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWRULE, NLM_F_DUMP_INTR, 0);
	fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWRULE, 0, 0);
	assert_int_equal(firewall_ruleset_load_rules(&ruleset, &ruleset.chains[0]), 0);
	assert_int_equal(ruleset.chains[0].rule_count, 1);
	assert_int_equal(fake_netlink_questions(ends[1]), 2);
	/* Once is enough. */
	assert_int_equal(firewall_ruleset_load_rules(&ruleset, &ruleset.chains[0]), 0);
	assert_int_equal(fake_netlink_questions(ends[1]), 0);
	firewall_ruleset_done(&ruleset);
	for (int i = 0; i < 100; i++)
		fake_netlink_dump(ends[1], 10 << 8 | NFT_MSG_NEWCHAIN, NLM_F_DUMP_INTR, 0);
	assert_int_equal(firewall_ruleset_load(ends[0], &ruleset), -EINTR);
	fake_netlink_close(ends);
}

/* A start reads those chains alone that the machine's packets reach. */
static void chains_that_are_not_reached_are_not_read(void **state)
{
	autoruleset struct firewall_ruleset ruleset = {};
	autoclose int socket = nft_open();
	struct others_chain *base;

	if (!has_netfilter)
		skip();
	netfilter_load("table inet f {\nchain far {\ndrop\n}\nchain near {\n}\nchain c {\n" BASE
		       "accept;\njump near\niifname \"eth1\" tcp dport 1 jump far\n}\n}\n");
	assert_int_equal(firewall_ruleset_load(socket, &ruleset), 0);
	base = firewall_ruleset_find(&ruleset, NFPROTO_INET, "f", "c");
	assert_int_equal(firewall_walk(&ruleset, base, "ve-m", FIREWALL_CALL, NFPROTO_IPV4),
			 FIREWALL_PASSES);
	assert_true(firewall_ruleset_find(&ruleset, NFPROTO_INET, "f", "near")->is_loaded);
	assert_false(firewall_ruleset_find(&ruleset, NFPROTO_INET, "f", "far")->is_loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_drops_is_named_and_nothing_else),
		cmocka_unit_test(ports_are_asked_for_where_there_are_any),
		cmocka_unit_test(the_command_mends_it),
		cmocka_unit_test(a_loop_of_rules_ends),
		cmocka_unit_test(rules_that_changed_meanwhile_are_read_again),
		cmocka_unit_test(chains_that_are_not_reached_are_not_read),
	};

	has_netfilter = netfilter_enter();
	return cmocka_run_group_tests_name("firewall walk", tests, NULL, NULL);
}
