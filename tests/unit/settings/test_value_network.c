/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The forms of interfaces, zones and ports, each with near misses. */
#include "check.h"
#include "lib/str.h"
#include "net/port.h"
#include "settings/value.h"

static void test_ports(void **state)
{
	static const struct {
		const char *text, *described;
	} rows[] = {
		{"80", "6  80-80:80"},
		{"8080:80", "6  8080-8080:80"},
		{"tcp:8080:80", "6  8080-8080:80"},
		{"udp:53", "17  53-53:53"},
		{"sctp:1:65535", "132  1-1:65535"},
		{"8000-8010", "6  8000-8010:8000"},
		{"8000-8010:9000", "6  8000-8010:9000"},
		{"8000-8010:9000-9010", "6  8000-8010:9000"},
		{"127.0.0.1:80", "6 127.0.0.1 80-80:80"},
		{"udp:127.0.0.1:80-81:90", "17 127.0.0.1 80-81:90"},
		{"tcp:[::1]:80:90", "6 ::1 80-80:90"},
		{"[2001:db8::1]:80", "6 2001:db8::1 80-80:80"},
		{"65535", "6  65535-65535:65535"},
	};
	static const char *const bad[] = {
		"",
		":",
		"0",
		"65536",
		"80:",
		":80",
		"80:0",
		"80:90:100",
		"tcp:",
		"tcp",
		"icmp:80",
		"TCP:80",
		"80-79",
		"80-90:100-109",
		"80-90:100-111",
		"80-",
		"-80",
		"1-65535:2",
		"::1:80",
		"[::1]",
		"[::1]:",
		"[::1]80",
		"[1.2.3.4]:80",
		"1.2.3:80",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4.5:80",
		"[::1:80",
		" 80",
		"80 ",
		"+80",
		"0x50",
		"80:80:",
		"tcp:tcp:80",
		"eth0:80",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_port port;
		char text[NET_ADDRESS_TEXT];
		autofree char *described = NULL;

		assert_int_equal(net_port_parse(rows[i].text, &port), 0);
		described = str_printf("%d %s %u-%u:%u", port.protocol,
				       net_address_format(&port.bind, text), port.first, port.last,
				       port.guest_first);
		assert_string_equal(described, rows[i].described);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(value_check_port(bad[i]), -EINVAL);
}

static void test_links(void **state)
{
	static const struct {
		const char *text, *host, *guest;
	} rows[] = {
		{"eth0", "eth0", NULL},
		{"eth0:lan", "eth0", "lan"},
		{"enp0s31f6.100", "enp0s31f6.100", NULL},
		{"an-alternative-name-of-it:x", "an-alternative-name-of-it", "x"},
	};
	static const char *const bad[] = {
		"",  ":",   "eth0:", ":x", "a b", "a/b", ".", "..", "a:b:c", "a:sixteen-letters-",
		"7", "a:7", "a%b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autocall(value_link_done) struct value_link link = {};

		assert_int_equal(value_parse_link(rows[i].text, &link), 0);
		assert_string_equal(link.host, rows[i].host);
		assert_true(streq_null(link.guest, rows[i].guest));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(value_check_link(bad[i]), -EINVAL);
}

static void test_zones(void **state)
{
	assert_true(value_zone_is_valid("a"));
	assert_true(value_zone_is_valid("twelve-chars"));
	assert_false(value_zone_is_valid("thirteen-char"));
	assert_false(value_zone_is_valid(""));
	assert_false(value_zone_is_valid("a/b"));
	assert_false(value_zone_is_valid("a b"));
}

static void test_resolv_conf(void **state)
{
	enum value_resolv_conf mode;

	assert_int_equal(value_parse_resolv_conf("auto", &mode), 0);
	assert_int_equal(mode, VALUE_RESOLV_CONF_AUTO);
	assert_int_equal(value_parse_resolv_conf("replace-uplink", &mode), 0);
	assert_int_equal(mode, VALUE_RESOLV_CONF_REPLACE_UPLINK);
	assert_int_equal(value_parse_resolv_conf("copy", &mode), -EINVAL);
	assert_int_equal(value_parse_resolv_conf("", &mode), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_resolv_conf),
	};

	return cmocka_run_group_tests_name("network values", tests, NULL, NULL);
}
