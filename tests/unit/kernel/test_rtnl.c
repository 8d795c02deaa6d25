/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages that are built are found again by their parts; what is cut short is not read past. */
#include <linux/if_link.h>
#include <string.h>

#include "check.h"
#include "kernel/rtnl.h"

static void what_is_put_is_found(void **state)
{
	struct ifinfomsg link = {.ifi_index = 7};
	struct rtnl_message message;
	const struct rtattr *kind;
	char text[8];
	uint32_t nest;

	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	rtnl_put_str(&message, IFLA_IFNAME, "eth0");
	nest = rtnl_begin_nest(&message, IFLA_LINKINFO);
	rtnl_put_str(&message, IFLA_INFO_KIND, "a-long-kind");
	rtnl_end_nest(&message, nest);
	rtnl_put_u32(&message, IFLA_MTU, 1500);
	assert_int_equal(rtnl_get_u32(rtnl_find(&message.header, sizeof(link), IFLA_MTU)), 1500);
	rtnl_get_str(rtnl_find(&message.header, sizeof(link), IFLA_IFNAME), text, sizeof(text));
	assert_string_equal(text, "eth0");
	kind = rtnl_find_nested(rtnl_find(&message.header, sizeof(link), IFLA_LINKINFO),
				IFLA_INFO_KIND);
	rtnl_get_str(kind, text, sizeof(text));
	assert_string_equal(text, "a-long-");
	/* One level is not the other. */
	assert_null(rtnl_find(&message.header, sizeof(link), IFLA_INFO_KIND + 100));
	assert_null(rtnl_find_nested(NULL, IFLA_INFO_KIND));
	assert_int_equal(rtnl_get_u32(NULL), 0);
	rtnl_get_str(NULL, text, sizeof(text));
	assert_string_equal(text, "");
}

static void what_is_cut_short_is_not_found(void **state)
{
	struct ifinfomsg link = {};
	struct rtnl_message message;
	uint32_t whole;

	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	rtnl_put_u32(&message, IFLA_MTU, 1500);
	whole = message.header.nlmsg_len;
	for (uint32_t size = NLMSG_HDRLEN; size < whole; size++) {
		message.header.nlmsg_len = size;
		assert_null(rtnl_find(&message.header, sizeof(link), IFLA_MTU));
	}
	/* An attribute that says it is longer than the message. */
	message.header.nlmsg_len = whole;
	((struct rtattr *)(message.bytes + NLMSG_LENGTH(sizeof(link))))->rta_len = 400;
	assert_null(rtnl_find(&message.header, sizeof(link), IFLA_MTU));
}

static void a_message_that_is_full_is_not_sent(void **state)
{
	struct rtnl_message message;
	char data[RTNL_MESSAGE_MAX] = {};

	rtnl_begin(&message, RTM_NEWLINK, 0, NULL, 0);
	rtnl_put(&message, IFLA_IFALIAS, data, sizeof(data));
	assert_int_equal(rtnl_call(-1, &message), -EMSGSIZE);
	assert_int_equal(rtnl_ask(-1, &message, NULL, NULL), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_found),
		cmocka_unit_test(what_is_cut_short_is_not_found),
		cmocka_unit_test(a_message_that_is_full_is_not_sent),
	};

	return cmocka_run_group_tests_name("rtnl", tests, NULL, NULL);
}
