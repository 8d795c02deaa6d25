/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hand-made answers of netlink: what the kernel says when something changes meanwhile. */
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include "check.h"

/* ends[0] is asked; what is put into ends[1] is heard there, one datagram each. */
static inline void fake_netlink_open(int ends[2])
{
	/* Whose sends may name an address, which is not looked at. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static inline void fake_netlink_close(int ends[2])
{
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* One message of `type` with `number` as its content. */
static inline void fake_netlink_say(int end, uint16_t type, uint16_t flags, int number)
{
	struct {
		struct nlmsghdr header;
		int number;
	} message = {{.nlmsg_len = sizeof(message), .nlmsg_type = type, .nlmsg_flags = flags},
		     number};

	assert_int_equal(send(end, &message, sizeof(message), 0), sizeof(message));
}

/* A whole dump of one object; `flags` of its end: NLM_F_DUMP_INTR. */
static inline void fake_netlink_dump(int end, uint16_t type, uint16_t flags, int number)
{
	fake_netlink_say(end, type, NLM_F_MULTI, number);
	fake_netlink_say(end, NLMSG_DONE, NLM_F_MULTI | flags, 0);
}

/* How many questions were asked. */
static inline int fake_netlink_questions(int end)
{
	char question[4096];
	int count = 0;

	while (recv(end, question, sizeof(question), MSG_DONTWAIT) > 0)
		count++;
	return count;
}
