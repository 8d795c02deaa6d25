/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor answers on its machine's link, from one packet socket that sees what the
 * guest sends before any filter of the host does: DHCPv4, router solicitations, and DNS over UDP to
 * the host's addresses on the link; DNS over TCP from a listening socket. Names of machines are
 * answered from net/names.h, all else is asked of the host's resolvers. Floods are bounded: so many
 * answers a second, so many questions under way; what is more is dropped. Loud at the start only.
 * Supervisor's side.
 */
#pragma once

#include <net/if.h>
#include <netinet/if_ether.h>

#include "lib/event.h"
#include "net/address.h"
#include "net/lease.h"

struct link_service;

struct link_service_options {
	const char *machine;
	const char *link;	       /* on the host: ve-NAME or vb-NAME */
	const char *address_link;      /* where host4 and host6 are: the same, or vz-ZONE */
	const uint8_t *host_mac;       /* of address_link: the router's, 6 bytes */
	const uint8_t *guest_mac;      /* the only client, 6 bytes */
	const struct net_lease *lease; /* borrowed; addresses as given out */
	const struct net_address *name_servers; /* given out instead of host4 and host6, or NULL */
	size_t name_server_count;
	/* No netdev chain keeps what is answered here from the host's own stack (no nf_tables): a
	 * socket that takes in nothing stands at port 53 of host4 and host6, or the stack would
	 * tell the guest that there is no such port. */
	bool has_no_filter;
};

/* 0 or -errno, said. */
int link_service_new(struct event_loop *loop, const struct link_service_options *options,
		     struct link_service **ret);
void link_service_free(struct link_service *service);
