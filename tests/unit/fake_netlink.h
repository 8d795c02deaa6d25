/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hand-made netlink answers, like the kernel's when something changes during a dump. */
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include "check.h"

/* The code under test uses ends[0]; datagrams written to ends[1] arrive there. */
static inline void fake_netlink_open(int ends[2])
{
	/* Accepts sends with an address, and ignores it. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static inline void fake_netlink_close(int ends[2])
{
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A message of `type` whose content is `number`. */
static inline void fake_netlink_say(int end, uint16_t type, uint16_t flags, int number)
{
	struct {
		struct nlmsghdr header;
		int number;
	} message = {{.nlmsg_len = sizeof(message), .nlmsg_type = type, .nlmsg_flags = flags},
		     number};

	assert_int_equal(send(end, &message, sizeof(message), 0), sizeof(message));
}

/* A complete dump of one object; `flags` are those of its end, such as NLM_F_DUMP_INTR. */
static inline void fake_netlink_dump(int end, uint16_t type, uint16_t flags, int number)
{
	fake_netlink_say(end, type, NLM_F_MULTI, number);
	fake_netlink_say(end, NLMSG_DONE, NLM_F_MULTI | flags, 0);
}

/* The number of requests so far. */
static inline int fake_netlink_questions(int end)
{
	char question[4096];
	int count = 0;

	while (recv(end, question, sizeof(question), MSG_DONTWAIT) > 0)
		count++;
	return count;
}
