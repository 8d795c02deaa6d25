/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsing finds the parts of built messages; truncated ones are not read past their end. */
#include <linux/if_link.h>
#include <string.h>

#include "fake_netlink.h"
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
	/* Attributes of different levels aren't confused. */
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
	/* An attribute that claims to be longer than the message. */
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

struct told {
	int numbers[8];
	size_t count;
};

static int hear(const struct nlmsghdr *header, void *userdata)
{
	struct told *told = userdata;

	told->numbers[told->count++] = *(const int *)NLMSG_DATA(header);
	return 0;
}

static void forget(void *userdata)
{
	((struct told *)userdata)->count = 0;
}

static int dump(int end, struct told *told)
{
	struct rtnl_message message;

	rtnl_begin(&message, RTM_GETLINK, NLM_F_DUMP, NULL, 0);
	return rtnl_dump(end, &message, hear, forget, told);
}

/* security row: N19 */
/* Something changed twice: the answers before that are discarded. */
static void a_dump_that_was_interrupted_is_repeated(void **state)
{
	struct told told = {};
	int ends[2];

	fake_netlink_open(ends);
	fake_netlink_dump(ends[1], RTM_NEWLINK, NLM_F_DUMP_INTR, 1);
	fake_netlink_say(ends[1], RTM_NEWLINK, NLM_F_MULTI | NLM_F_DUMP_INTR, 2);
	fake_netlink_dump(ends[1], RTM_NEWLINK, 0, 3);
	fake_netlink_dump(ends[1], RTM_NEWLINK, 0, 4);
	assert_int_equal(dump(ends[0], &told), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.numbers[0], 4);
	assert_int_equal(fake_netlink_questions(ends[1]), 3);
	fake_netlink_close(ends);
}

static void a_dump_is_not_repeated_for_ever(void **state)
{
	struct told told = {};
	int ends[2];

	fake_netlink_open(ends);
	for (int i = 0; i < RTNL_DUMP_TRIES; i++)
		fake_netlink_dump(ends[1], RTM_NEWLINK, NLM_F_DUMP_INTR, i);
	assert_int_equal(dump(ends[0], &told), -EINTR);
	assert_int_equal(told.count, 0);
	assert_int_equal(fake_netlink_questions(ends[1]), RTNL_DUMP_TRIES);
	fake_netlink_close(ends);
}

/* The error is in the last message. Some kernels omit it if there is none. */
static void a_dump_that_failed_half_way_is_an_error(void **state)
{
	struct nlmsghdr bare = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_DONE};
	struct told told = {};
	int ends[2];

	fake_netlink_open(ends);
	fake_netlink_say(ends[1], RTM_NEWLINK, NLM_F_MULTI, 1);
	fake_netlink_say(ends[1], NLMSG_DONE, NLM_F_MULTI, -ENOBUFS);
	assert_int_equal(dump(ends[0], &told), -ENOBUFS);
	assert_int_equal(send(ends[1], &bare, sizeof(bare), 0), sizeof(bare));
	assert_int_equal(dump(ends[0], &told), 0);
	fake_netlink_close(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_found),
		cmocka_unit_test(what_is_cut_short_is_not_found),
		cmocka_unit_test(a_message_that_is_full_is_not_sent),
		cmocka_unit_test(a_dump_that_was_interrupted_is_repeated),
		cmocka_unit_test(a_dump_is_not_repeated_for_ever),
		cmocka_unit_test(a_dump_that_failed_half_way_is_an_error),
	};

	return cmocka_run_group_tests_name("rtnl", tests, NULL, NULL);
}
