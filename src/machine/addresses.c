// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asks the kernel for a machine's addresses, by a socket that a forked child makes inside the
 * network namespace. Must never move this process into a namespace. Host side of clone().
 */
#include "machine/addresses.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/rtnl.h"
#include "lib/fd.h"
#include "lib/str.h"
#include "machine/leader.h"
#include "machine/registry.h"
#include "net/address.h"

/* A socket stays in the namespace where it was made, also when it is passed to another. */
static int socket_inside(const struct leader *leader)
{
	int pair[2], fds[1], status;
	size_t count = 0;
	char byte = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		int fd = setns(leader->pidfd, CLONE_NEWNET) < 0 ? -1 : rtnl_open();

		_exit(fd >= 0 && fd_send(pair[1], &byte, 1, &fd, 1) == 0 ? 0 : 1);
	}
	(void)close(pair[1]);
	if (child < 0 || fd_receive(pair[0], &byte, 1, fds, 1, &count) < 0)
		count = 0;
	(void)close(pair[0]);
	if (child > 0)
		(void)waitpid(child, &status, 0);
	return count == 1 ? fds[0] : -ESRCH;
}

struct found {
	char **v4, **v6;
};

static void found_done(struct found *found)
{
	(void)strv_free(found->v4);
	(void)strv_free(found->v6);
}

static void forget(void *userdata)
{
	found_done(userdata);
	*(struct found *)userdata = (struct found){};
}

static int take_address(const struct nlmsghdr *header, void *userdata)
{
	const struct ifaddrmsg *message = NLMSG_DATA(header);
	struct net_address address = {.family = message->ifa_family};
	const struct rtattr *attribute = rtnl_find(header, sizeof(*message), IFA_LOCAL);
	struct found *found = userdata;
	char text[NET_ADDRESS_TEXT];

	/* LOCAL is the interface's address; ADDRESS may be the peer's. */
	if (!attribute)
		attribute = rtnl_find(header, sizeof(*message), IFA_ADDRESS);
	if (header->nlmsg_type != RTM_NEWADDR || message->ifa_scope == RT_SCOPE_HOST ||
	    net_address_size(&address) == 0 || !attribute ||
	    RTA_PAYLOAD(attribute) != net_address_size(&address) ||
	    strv_length(found->v4) + strv_length(found->v6) >= ADDRESSES_MAX)
		return 0;
	memcpy(address.bytes, RTA_DATA(attribute), net_address_size(&address));
	return strv_add(address.family == AF_INET ? &found->v4 : &found->v6,
			net_address_format(&address, text));
}

static int ask(int fd, struct found *found)
{
	const struct ifaddrmsg all = {};
	struct rtnl_message question;

	rtnl_begin(&question, RTM_GETADDR, NLM_F_DUMP, &all, sizeof(all));
	return rtnl_dump(fd, &question, take_address, forget, found);
}

int machine_get_addresses(const struct machine_state *machine, char ***ret)
{
	autocall(found_done) struct found found = {};
	autoleader struct leader leader = {};
	autoclose int fd = -1;
	int namespaces, r;

	r = leader_open(machine, &leader);
	if (r >= 0)
		r = leader_namespaces(&leader, &namespaces);
	if (r < 0 || !(namespaces & CLONE_NEWNET))
		return r;
	fd = socket_inside(&leader);
	if (fd < 0)
		return fd;
	r = ask(fd, &found);
	for (char **address = found.v6; r >= 0 && address && *address; address++)
		r = strv_add(&found.v4, *address);
	if (r >= 0)
		*ret = take_ptr(found.v4);
	return r;
}
