/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches which addresses a machine has, where it isn't us who leased them. Sleeps until the kernel
 * tells of a change; changes that come close together are one. Quiet. Supervisor's side.
 *
 * Reported are global addresses that last: neither tentative, deprecated, temporary nor link-local.
 * host0 first, then the other links by their number, IPv4 before IPv6. Of links that the guest made
 * itself only those count that one of these belongs to (a bridge with host0 in it): never docker0.
 * Tunnels count where there is nothing else, as in a namespace that another program made.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/event.h"
#include "net/address.h"

struct addresses;

#define ADDRESSES_REPORTED_MAX 16
#define ADDRESSES_SETTLE_US (50 * UINT64_C(1000))

typedef void (*addresses_fn)(void *userdata, const struct net_address *addresses, size_t count);

/* Two rtnetlink sockets: for changes, and for questions. */
struct addresses_sockets {
	int changes;
	int questions;
};

/* Made inside the network namespace of a process: the caller must be of one thread, and is back in
 * its own namespace afterwards, or ends. 0 or -errno. */
int addresses_open(int pidfd, struct addresses_sockets *ret);
/* In the caller's own namespace. */
int addresses_open_here(struct addresses_sockets *ret);

/*
 * The sockets are taken, also on error. `fn` is called at once when there is an address, and then
 * for each change of the list, from the event loop. 0 or -errno.
 */
int addresses_new(struct event_loop *loop, const struct addresses_sockets *sockets, addresses_fn fn,
		  void *userdata, struct addresses **ret);
void addresses_free(struct addresses *addresses);
