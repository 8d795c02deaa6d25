/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of a machine's interfaces, shortened to the kernel's limit of 15 characters as by
 * systemd-nspawn 252, and their hardware addresses. tests/system/test_same_as_nspawn.py compares
 * both on real interfaces.
 */
#include "check.h"
#include "lib/str.h"
#include "net/link_name.h"

#define HOST "0123456789abcdef0123456789abcdef"

static void names_are_cut_as_nspawn_does(void **state)
{
	static const struct {
		const char *machine, *name, *alias;
	} rows[] = {
		{"x", "ve-x", NULL},
		{"twelve-chars", "ve-twelve-chars", NULL},
		{"thirteen-char", "ve-thirteenvixq", "ve-thirteen-char"},
		{"debian-bookworm", "ve-debian-bCau7", "ve-debian-bookworm"},
		{"a-name-of-a-machine.example.org", "ve-a-name-ome_-",
		 "ve-a-name-of-a-machine.example.org"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *alias = NULL;
		char name[IFNAMSIZ];

		assert_int_equal(net_link_name("ve-", rows[i].machine, name, &alias), 0);
		assert_string_equal(name, rows[i].name);
		if (rows[i].alias)
			assert_string_equal(alias, rows[i].alias);
		else
			assert_null(alias);
	}
}

static void addresses_are_stable_and_of_their_role_alone(void **state)
{
	uint8_t macs[2 * NET_ROLE_COUNT][ETH_ALEN], again[ETH_ALEN];

	for (int i = 0; i < 2 * NET_ROLE_COUNT; i++) {
		net_link_mac(HOST, "web", (enum net_role)(i / 2), (uint64_t)i % 2, macs[i]);
		/* A unicast address, locally administered. */
		assert_int_equal(macs[i][0] & 3, 2);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(macs[i], macs[j], ETH_ALEN);
	}
	net_link_mac(HOST, "web", NET_ROLE_HOST, 0, again);
	assert_memory_equal(again, macs[0], ETH_ALEN);
	net_link_mac(HOST, "web2", NET_ROLE_HOST, 0, again);
	assert_memory_not_equal(again, macs[0], ETH_ALEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_cut_as_nspawn_does),
		cmocka_unit_test(addresses_are_stable_and_of_their_role_alone),
	};

	return cmocka_run_group_tests_name("link_name", tests, NULL, NULL);
}
