/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has a port of this host: the tables of sockets in /proc/net, and whose descriptor it is.
 * Quiet. Host side.
 */
#pragma once

#include <stdint.h>

#include "net/address.h"
#include "net/port.h"

/* What a table of sockets is asked for. */
struct port_query {
	int protocol; /* IPPROTO_TCP or _UDP; others have no table: -EPROTONOSUPPORT */
	struct net_address address; /* none: any; sockets of another address are passed over */
	uint16_t first, last;
};

/* The first port of the range that a listening (UDP: any) socket has: 1 and *ret, or 0. */
int port_owner_find_taken(const struct port_query *query, uint16_t *ret);
/*
 * The first port of the range that another machine than `self` forwards, as its state says, bound
 * or not: 1, *ret, and "machine web" in *ret_owner, a new string. 0 or -errno.
 */
int port_owner_find_forward(const char *self, const struct net_port *port, uint16_t *ret,
			    char **ret_owner);
/*
 * Reads all of /proc/PID/fd: after a bind failed only, and never in the loop of a supervisor, which
 * serves its machine meanwhile: who asked for the port searches.
 *
 * "nginx (process 123)", "machine web", "this machine itself", or, of a socket that no process
 * shows, "the kernel, or a process that can't be seen from here". A new string in *ret. 0 or
 * -errno.
 */
int port_owner_find(const struct port_query *query, char **ret);
