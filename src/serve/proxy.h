/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes TCP connections of the host's sockets on to the machine, by splice: no byte comes into
 * this process. Half-closes and backpressure go through; an error of one side resets the other.
 * Bounded: PROXY_CONNECTIONS_MAX, fewer where descriptors are scarce; who comes beyond waits in the
 * sockets' backlogs. Quiet. SIGPIPE must be ignored. Supervisor's side.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/event.h"
#include "net/address.h"

struct proxy;

#define PROXY_CONNECTIONS_MAX 512

/* Where a proxy leads to; both none: whoever comes is reset. */
struct proxy_target {
	struct net_address v4, v6;
};

int proxy_new(struct event_loop *loop, struct proxy **ret);
void proxy_free(struct proxy *proxy);
/*
 * `fd` listens, does not block, and is taken, also on error. A client of IPv6 is led to the
 * target's IPv6 address first, one of IPv4 to its IPv4 address; where nobody listens there, or
 * there is none, to the other. `owner` is what proxy_drop() knows it by. 0 or -errno.
 */
int proxy_listen(struct proxy *proxy, int fd, uint16_t guest_port, const void *owner);
/* Closes the owner's sockets and resets the connections that came by them. */
void proxy_drop(struct proxy *proxy, const void *owner);
/* Connections that lead to somewhere else are reset. */
void proxy_set_target(struct proxy *proxy, const struct proxy_target *target);
size_t proxy_count(const struct proxy *proxy);

/* What both proxies need: the target for a client of that family, as an address to connect to. */
struct sockaddr_storage;
/* The size of *ret, or 0: there is none. */
unsigned proxy_pick_target(const struct proxy_target *target, int family, uint16_t port,
			   struct sockaddr_storage *ret);
