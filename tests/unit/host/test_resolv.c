/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /etc/resolv.conf: its text, which name servers are usable, and where a guest's link leads. */
#include "check.h"
#include "host/network/resolv.h"
#include "lib/str.h"

static void the_text_names_servers(void **state)
{
	struct net_address servers[3] = {};
	autofree char *text = NULL, *none = resolv_conf_text(NULL, 0);

	assert_int_equal(net_address_parse("10.0.0.1", &servers[0]), 0);
	assert_int_equal(net_address_parse("fd00::1", &servers[2]), 0);
	text = resolv_conf_text(servers, ARRAY_SIZE(servers));
	assert_string_equal(text, "nameserver 10.0.0.1\nnameserver fd00::1\n");
	assert_string_equal(none, "");
}

static void servers_of_the_host_itself(void **state)
{
	static const struct {
		const char *text;
		bool is_local;
	} rows[] = {
		{"", false},
		{"search example\noptions edns0\n", false},
		{"nameserver 127.0.0.53\n", true},
		{"nameserver\t127.1.2.3\r\nnameserver ::1", true},
		{"  nameserver   127.0.0.1  \n", true},
		{"nameserver 127.0.0.1\nnameserver 192.0.2.1\n", false},
		{"nameserver 192.0.2.1\nnameserver 127.0.0.1\n", false},
		{"nameserver fe80::1%eth0\nnameserver 127.0.0.1\n", true},
		{"#nameserver 192.0.2.1\nnameserver 127.0.0.1\n", true},
		{"; nameserver 192.0.2.1\nnameserver ::1\n", true},
		{"nameserver 2001:db8::1\n", false},
		{"nameserver\nnameserver 1270.0.0.1\n", false},
		{"nameservers 127.0.0.1\n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(resolv_conf_is_local(rows[i].text), rows[i].is_local);
}

static void where_links_lead(void **state)
{
	static const struct {
		const char *link, *path;
	} rows[] = {
		{"../run/systemd/resolve/stub-resolv.conf", "systemd/resolve/stub-resolv.conf"},
		{"/run/systemd/resolve/resolv.conf", "systemd/resolve/resolv.conf"},
		{"/run/resolv.conf", "resolv.conf"},
		{"../../../run/./a//b", "a/b"},
		{"/run/a/../b", "b"},
		{"/run/host/../x", "x"},
		{"/", NULL},
		{"", NULL},
		{"/run", NULL},
		{"/run/", NULL},
		{"/run/a/", NULL},
		{"/run/..", NULL},
		{"/run/../etc/passwd", NULL},
		{"/run/host/os-release", NULL},
		{"/run/host", NULL},
		{"/run/a/../host/x", NULL},
		{"/runaway/x", NULL},
		{"run/x", NULL},
		{"/run/a\nb", NULL},
		{"/etc/resolvconf/run/resolv.conf", NULL},
		{"/proc/self/root/run/x", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *path = NULL;
		int r = resolv_path_below_run(rows[i].link, &path);

		assert_int_equal(r, rows[i].path ? 0 : -ENOENT);
		if (rows[i].path)
			assert_string_equal(path, rows[i].path);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_names_servers),
		cmocka_unit_test(servers_of_the_host_itself),
		cmocka_unit_test(where_links_lead),
	};

	return cmocka_run_group_tests_name("host/resolv", tests, NULL, NULL);
}
