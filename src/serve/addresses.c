/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Re-reads all addresses after any change, once changes have settled. A guest that changes its
 * addresses without end costs a few wake-ups a second, since nothing is read meanwhile.
 * Sources: rtnetlink(7), include/uapi/linux/if_addr.h. Supervisor's side.
 */
#include "serve/addresses.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "kernel/rtnl.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"

/* Links and addresses beyond these numbers are ignored. */
#define LINKS_MAX 256
#define FOUND_MAX 256
#define PASSING_FLAGS (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)

enum rank {
	RANK_HOST0,
	RANK_OURS, /* a link that came from outside, or what holds it */
	RANK_TUNNEL,
	RANK_NONE,
};

struct link {
	int index;
	int master; /* 0: none */
	enum rank rank;
};

struct found {
	enum rank rank;
	int index;
	struct net_address address;
};

/* The result of one query. */
struct look {
	struct link links[LINKS_MAX];
	size_t link_count;
	struct found found[FOUND_MAX];
	size_t found_count;
};

struct addresses {
	struct event_loop *loop;
	struct addresses_sockets sockets;
	addresses_fn fn;
	void *userdata;
	struct event_timer timer;
	struct net_address last[ADDRESSES_REPORTED_MAX];
	size_t last_count;
};

int addresses_open_here(struct addresses_sockets *ret)
{
	autoclose int changes =
		rtnl_open_protocol(NETLINK_ROUTE, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	int questions = changes < 0 ? changes : rtnl_open();

	if (questions < 0)
		return questions;
	*ret = (struct addresses_sockets){.changes = take_fd(&changes), .questions = questions};
	return 0;
}

int addresses_open(int pidfd, struct addresses_sockets *ret)
{
	autoclose int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (own < 0 || setns(pidfd, CLONE_NEWNET) < 0)
		return -errno;
	r = addresses_open_here(ret);
	/* A supervisor that stayed in its guest's network would bind ports there. */
	if (setns(own, CLONE_NEWNET) < 0) {
		(void)log_errno(-errno, "return to the host's network namespace");
		_exit(1);
	}
	return r;
}

struct link_facts {
	char name[IFNAMSIZ];
	char kind[16]; /* "": the host's own */
};

static enum rank rank_link(const struct link_facts *facts)
{
	static const char *const from_outside[] = {"",	      "veth",	"macvlan",
						   "macvtap", "ipvlan", "netkit"};

	if (streq(facts->name, "host0"))
		return RANK_HOST0;
	for (size_t i = 0; i < ARRAY_SIZE(from_outside); i++)
		if (streq(facts->kind, from_outside[i]))
			return RANK_OURS;
	return streq(facts->kind, "bridge") ? RANK_NONE : RANK_TUNNEL;
}

static int take_link(const struct nlmsghdr *header, void *userdata)
{
	const struct ifinfomsg *message = NLMSG_DATA(header);
	const struct rtattr *info = rtnl_find(header, sizeof(*message), IFLA_LINKINFO);
	struct look *look = userdata;
	struct link_facts facts = {};

	if (header->nlmsg_type != RTM_NEWLINK || (message->ifi_flags & IFF_LOOPBACK) ||
	    look->link_count == LINKS_MAX)
		return 0;
	rtnl_get_str(rtnl_find(header, sizeof(*message), IFLA_IFNAME), facts.name,
		     sizeof(facts.name));
	if (info)
		rtnl_get_str(rtnl_find_nested(info, IFLA_INFO_KIND), facts.kind,
			     sizeof(facts.kind));
	look->links[look->link_count++] = (struct link){
		.index = message->ifi_index,
		.master = (int)rtnl_get_u32(rtnl_find(header, sizeof(*message), IFLA_MASTER)),
		.rank = rank_link(&facts),
	};
	return 0;
}

static void forget_links(void *userdata)
{
	((struct look *)userdata)->link_count = 0;
}

static struct link *find_link(struct look *look, int index)
{
	for (size_t i = 0; i < look->link_count; i++)
		if (look->links[i].index == index)
			return &look->links[i];
	return NULL;
}

/* A bridge that holds one of our links has that link's rank; tunnels rank behind all of ours. */
static void settle_ranks(struct look *look)
{
	bool has_ours = false;

	for (size_t i = 0; i < look->link_count; i++) {
		const struct link *link = &look->links[i];
		struct link *master = link->master ? find_link(look, link->master) : NULL;

		/* A veth in a bridge of the guest's is a container of the guest's. */
		if (master && link->rank == RANK_HOST0)
			master->rank = RANK_HOST0;
		has_ours = has_ours || link->rank < RANK_TUNNEL;
	}
	for (size_t i = 0; has_ours && i < look->link_count; i++)
		if (look->links[i].rank == RANK_TUNNEL)
			look->links[i].rank = RANK_NONE;
}

/* None where it is missing, or of another size than its family's. */
static struct net_address get_address(const struct nlmsghdr *header, int family, uint16_t type)
{
	const struct rtattr *attribute = rtnl_find(header, sizeof(struct ifaddrmsg), type);
	struct net_address address = {.family = family};

	if (!attribute || RTA_PAYLOAD(attribute) != net_address_size(&address))
		return (struct net_address){};
	memcpy(address.bytes, RTA_DATA(attribute), net_address_size(&address));
	return address;
}

/* IFA_F_TEMPORARY is IFA_F_SECONDARY for IPv4, where it tells nothing. */
static bool lasts(int family, uint32_t flags)
{
	return !(flags & PASSING_FLAGS) && !(family == AF_INET6 && (flags & IFA_F_TEMPORARY));
}

static int take_address(const struct nlmsghdr *header, void *userdata)
{
	const struct ifaddrmsg *message = NLMSG_DATA(header);
	const struct rtattr *flags = rtnl_find(header, sizeof(*message), IFA_FLAGS);
	struct look *look = userdata;
	const struct link *link = find_link(look, (int)message->ifa_index);
	struct net_address address;

	if (header->nlmsg_type != RTM_NEWADDR || message->ifa_scope != RT_SCOPE_UNIVERSE || !link ||
	    link->rank == RANK_NONE || look->found_count == FOUND_MAX ||
	    !lasts(message->ifa_family, flags ? rtnl_get_u32(flags) : message->ifa_flags))
		return 0;
	/* LOCAL is one's own address, where ADDRESS may be the peer's. */
	address = get_address(header, message->ifa_family, IFA_LOCAL);
	if (!net_address_is_set(&address))
		address = get_address(header, message->ifa_family, IFA_ADDRESS);
	if (net_address_is_set(&address))
		look->found[look->found_count++] = (struct found){
			.rank = link->rank, .index = link->index, .address = address};
	return 0;
}

static void forget_found(void *userdata)
{
	((struct look *)userdata)->found_count = 0;
}

static int ask(int fd, uint16_t type, rtnl_each_fn each, rtnl_forget_fn forget, struct look *look)
{
	const struct ifinfomsg all = {}; /* not smaller than struct ifaddrmsg */
	struct rtnl_message question;

	rtnl_begin(&question, type, NLM_F_DUMP, &all, sizeof(all));
	return rtnl_dump(fd, &question, each, forget, look);
}

static int compare(const void *a, const void *b)
{
	const struct found *x = a;
	const struct found *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	if (x->address.family != y->address.family)
		return x->address.family == AF_INET ? -1 : 1;
	return memcmp(x->address.bytes, y->address.bytes, net_address_size(&x->address));
}

static bool is_same_as_last(const struct addresses *addresses, const struct found *found,
			    size_t count)
{
	if (addresses->last_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!net_address_equal(&addresses->last[i], &found[i].address))
			return false;
	return true;
}

static void report(struct addresses *addresses, struct look *look)
{
	size_t count = MIN(look->found_count, (size_t)ADDRESSES_REPORTED_MAX);

	qsort(look->found, look->found_count, sizeof(look->found[0]), compare);
	if (is_same_as_last(addresses, look->found, count))
		return;
	for (size_t i = 0; i < count; i++)
		addresses->last[i] = look->found[i].address;
	addresses->last_count = count;
	addresses->fn(addresses->userdata, addresses->last, count);
}

/* A query that fails now is repeated at the next change. */
static int look_now(struct addresses *addresses)
{
	autofree struct look *look = calloc(1, sizeof(*look));
	int fd = addresses->sockets.questions;
	int r = look ? ask(fd, RTM_GETLINK, take_link, forget_links, look) : -ENOMEM;

	if (r < 0)
		return r;
	settle_ranks(look);
	r = ask(fd, RTM_GETADDR, take_address, forget_found, look);
	if (r >= 0)
		report(addresses, look);
	return r;
}

/* Also takes the error that reports lost messages. */
static void drain(int fd)
{
	char byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
}

static void look_later(struct addresses *addresses)
{
	event_arm_timer(addresses->loop, &addresses->timer,
			time_monotonic_us() + ADDRESSES_SETTLE_US);
}

static int on_change(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct addresses *addresses = userdata;

	event_remove_fd(loop, fd);
	look_later(addresses);
	return 0;
}

static int on_settled(struct event_loop *loop, void *userdata)
{
	struct addresses *addresses = userdata;

	drain(addresses->sockets.changes);
	/* Links changed all the time, and of those no change is told. */
	if (look_now(addresses) == -EINTR) {
		look_later(addresses);
		return 0;
	}
	return event_add_fd(loop, addresses->sockets.changes, EPOLLIN, on_change, addresses);
}

int addresses_new(struct event_loop *loop, const struct addresses_sockets *sockets, addresses_fn fn,
		  void *userdata, struct addresses **ret)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));
	int r;

	if (!addresses) {
		(void)close(sockets->changes);
		(void)close(sockets->questions);
		return -ENOMEM;
	}
	*addresses = (struct addresses){
		.loop = loop,
		.sockets = *sockets,
		.fn = fn,
		.userdata = userdata,
		.timer = {.due_us = USEC_INFINITY, .fn = on_settled, .userdata = addresses},
	};
	r = event_add_fd(loop, sockets->changes, EPOLLIN, on_change, addresses);
	if (r >= 0)
		r = look_now(addresses);
	if (r == -EINTR)
		r = on_change(loop, sockets->changes, EPOLLIN, addresses);
	if (r < 0) {
		addresses_free(addresses);
		return r;
	}
	*ret = addresses;
	return 0;
}

void addresses_free(struct addresses *addresses)
{
	if (!addresses)
		return;
	event_disarm_timer(addresses->loop, &addresses->timer);
	event_remove_fd(addresses->loop, addresses->sockets.changes);
	(void)close(addresses->sockets.changes);
	(void)close(addresses->sockets.questions);
	free(addresses);
}
