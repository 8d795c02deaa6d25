/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which addresses a machine's host0 has: picked by a hash of its name, kept in a file, so that a
 * name keeps its addresses across restarts and two machines never share one, also when they start
 * at the same instant (one lock around look and take). Quiet: 0 or -errno.
 *
 * Own link:  an IPv4 /28, the host the first address, the machine the second.
 * Zone:      an IPv4 /24 that the zone's machines share; the host the first.
 * Both:      a /64 out of the host's unique local /48 (RFC 4193), made from its machine id; the
 * host is ::1, the machine what SLAAC makes of its hardware address (RFC 4291, appendix A).
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "net/address.h"

#define NET_LEASE_FILE "/var/lib/redd/network/leases"

struct net_lease {
	char machine[65];
	char zone[13];		   /* "": a link of its own */
	struct net_prefix subnet4; /* family AF_UNSPEC: none could be given */
	struct net_address host4, guest4;
	struct net_prefix subnet6;
	struct net_address host6, guest6;
	uint64_t used_us; /* real time of the last take */
};

struct net_lease_request {
	const char *machine;
	const char *zone;	  /* NULL: a link of its own */
	const char *host_id;	  /* machine id of the host, 32 hexadecimal digits, or "" */
	const uint8_t *guest_mac; /* ETH_ALEN bytes */
	/* What is in use already: routes and addresses of the host. A kept lease that overlaps one
	 * of them is given up for another; routes of our own links are not among them. */
	const struct net_prefix *in_use;
	size_t in_use_count;
	bool only_look; /* writes nothing: for --explain */
};

/* -EADDRNOTAVAIL when no range is free in either family; with one of them alone the other is none.
 */
int net_lease_take(const struct net_lease_request *request, struct net_lease *ret);
/* Of a machine whose image is gone. 0 also when there is none. */
int net_lease_forget(const char *machine);
/* Whether the lease gives that address to its machine, the host, or anybody else who is not in
 * `zone` (NULL: a link of its own): of a zone's own subnet, only what has been given out. */
bool net_lease_has(const struct net_lease *lease, const char *zone,
		   const struct net_address *address);
/* All that are kept, sorted by machine; the caller frees. No file: none. */
int net_lease_list(struct net_lease **ret, size_t *ret_count);
