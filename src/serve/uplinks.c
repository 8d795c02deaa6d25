/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for uplinks that come up later. A filter in the kernel drops messages about known
 * addresses: router advertisements renew an address every few minutes, and each of hundreds of
 * supervisors would wake up.
 * Sources: rtnetlink(7), linux/filter.h. Supervisor's side.
 */
#include "serve/uplinks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/rtnl.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"

/* An interface that comes up gets several addresses one after another. */
#define SETTLE_US (100 * USEC_PER_MSEC)
/* Beyond this number the oldest is forgotten, and its next message wakes us again. */
#define KNOWN_MAX 128
#define MESSAGE_MAX 8192

struct uplinks {
	struct event_loop *loop;
	uplinks_is_host_fn is_host;
	uplinks_fn fn;
	void *userdata;
	int fd;
	struct event_timer settle;
	uint32_t known[KNOWN_MAX]; /* see key_of() */
	size_t known_count, oldest;
};

/* As the filter computes it, which reads the index as a big-endian number. */
static uint32_t key_of(const struct ifaddrmsg *message)
{
	return htonl(message->ifa_index) + message->ifa_family;
}

/* Passes new addresses with a scope beyond their link, except known ones. */
static int set_filter(const struct uplinks *uplinks)
{
	const uint32_t at = NLMSG_HDRLEN;
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWADDR), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at + offsetof(struct ifaddrmsg, ifa_scope)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, RT_SCOPE_LINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at + offsetof(struct ifaddrmsg, ifa_family)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at + offsetof(struct ifaddrmsg, ifa_index)),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	};
	struct sock_filter ops[ARRAY_SIZE(head) + 2 * KNOWN_MAX + 1];
	struct sock_fprog program = {.filter = ops};
	size_t n = ARRAY_SIZE(head);

	memcpy(ops, head, sizeof(head));
	for (size_t i = 0; i < uplinks->known_count; i++) {
		ops[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							uplinks->known[i], 0, 1);
		ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	}
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	program.len = (unsigned short)n;
	return setsockopt(uplinks->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static bool is_known(const struct uplinks *uplinks, uint32_t key)
{
	for (size_t i = 0; i < uplinks->known_count; i++)
		if (uplinks->known[i] == key)
			return true;
	return false;
}

static void remember(struct uplinks *uplinks, uint32_t key)
{
	if (uplinks->known_count < KNOWN_MAX) {
		uplinks->known[uplinks->known_count++] = key;
		return;
	}
	uplinks->known[uplinks->oldest] = key;
	uplinks->oldest = (uplinks->oldest + 1) % KNOWN_MAX;
}

/* True when there was a new address. */
static bool take_message(struct uplinks *uplinks, const struct nlmsghdr *header)
{
	const struct ifaddrmsg *message = NLMSG_DATA(header);
	uint32_t key;

	if (header->nlmsg_type != RTM_NEWADDR ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) ||
	    message->ifa_scope >= RT_SCOPE_LINK)
		return false;
	key = key_of(message);
	if (is_known(uplinks, key))
		return false;
	remember(uplinks, key);
	return uplinks->is_host(message->ifa_index);
}

static int on_socket(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct uplinks *uplinks = userdata;
	bool is_new = false;
	_Alignas(struct nlmsghdr) char data[MESSAGE_MAX];

	for (;;) {
		ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		size_t left = n > 0 ? (size_t)n : 0;

		/* Messages were lost: looking at all interfaces again does no harm. */
		is_new |= n < 0 && errno == ENOBUFS;
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n <= 0)
			break;
		for (struct nlmsghdr *header = (struct nlmsghdr *)data; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left))
			is_new |= take_message(uplinks, header);
	}
	(void)set_filter(uplinks);
	if (is_new)
		event_arm_timer(loop, &uplinks->settle, time_monotonic_us() + SETTLE_US);
	return 0;
}

static int on_settled(struct event_loop *loop, void *userdata)
{
	struct uplinks *uplinks = userdata;

	uplinks->fn(uplinks->userdata);
	return 0;
}

int uplinks_new(struct event_loop *loop, uplinks_is_host_fn is_host, uplinks_fn fn, void *userdata,
		struct uplinks **ret)
{
	struct uplinks *uplinks = calloc(1, sizeof(*uplinks));
	int r;

	if (!uplinks)
		return -ENOMEM;
	*uplinks = (struct uplinks){
		.loop = loop,
		.is_host = is_host,
		.fn = fn,
		.userdata = userdata,
		.settle = {.due_us = USEC_INFINITY, .fn = on_settled, .userdata = uplinks},
	};
	uplinks->fd = rtnl_open_protocol(NETLINK_ROUTE, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	r = uplinks->fd < 0 ? uplinks->fd : set_filter(uplinks);
	if (r >= 0)
		r = event_add_fd(loop, uplinks->fd, EPOLLIN, on_socket, uplinks);
	if (r < 0) {
		if (uplinks->fd >= 0)
			(void)close(uplinks->fd);
		free(uplinks);
		return r;
	}
	*ret = uplinks;
	return 0;
}

void uplinks_free(struct uplinks *uplinks)
{
	if (!uplinks)
		return;
	event_disarm_timer(uplinks->loop, &uplinks->settle);
	event_remove_fd(uplinks->loop, uplinks->fd);
	(void)close(uplinks->fd);
	free(uplinks);
}
