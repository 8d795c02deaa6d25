/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The canonical form of a port. The tests of settings cover what users may write. */
#include "check.h"
#include "net/port.h"

static void the_form_tells_everything(void **state)
{
	static const struct {
		const char *given, *form;
	} rows[] = {
		{"80", "tcp:80:80"},
		{"8080:80", "tcp:8080:80"},
		{"udp:53", "udp:53:53"},
		{"sctp:1:65535", "sctp:1:65535"},
		{"8000-8010:9000", "tcp:8000-8010:9000-9010"},
		{"8000-8010", "tcp:8000-8010:8000-8010"},
		{"127.0.0.1:80", "tcp:127.0.0.1:80:80"},
		{"udp:[2001:db8:1111:2222:3333:4444:5555:6666]:10000-20000:30000",
		 "udp:[2001:db8:1111:2222:3333:4444:5555:6666]:10000-20000:30000-40000"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_port port, again;
		char text[NET_PORT_TEXT], second[NET_PORT_TEXT];

		assert_int_equal(net_port_parse(rows[i].given, &port), 0);
		assert_string_equal(net_port_format(&port, text), rows[i].form);
		assert_int_equal(net_port_parse(text, &again), 0);
		assert_string_equal(net_port_format(&again, second), rows[i].form);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_tells_everything),
	};

	return cmocka_run_group_tests_name("net/port", tests, NULL, NULL);
}
