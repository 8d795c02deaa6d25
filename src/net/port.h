/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A port, or a run of ports, of the host that leads to one of a machine: a value, and its forms as
 * text. Pure and quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

struct net_port {
	int protocol;		 /* IPPROTO_TCP, _UDP or _SCTP */
	struct net_address bind; /* of the host; none: all of them */
	uint16_t first, last;	 /* of the host, in host byte order */
	uint16_t guest_first;	 /* what `first` leads to; the others count up from it */
};

#define NET_PORT_TEXT 96

bool net_port_equal(const struct net_port *a, const struct net_port *b);
/* One packet could be meant for both. */
bool net_port_overlaps(const struct net_port *a, const struct net_port *b);

/*
 * [PROTOCOL:][ADDRESS:]PORT[-LAST][:PORT[-LAST]], an IPv6 address in brackets; without a protocol
 * TCP. 0, -EINVAL, -EPROTONOSUPPORT for another protocol, -ENOMEM.
 */
int net_port_parse(const char *text, struct net_port *ret);
/* With everything told: "tcp:8080:80", "udp:[::1]:5000-5009:6000-6009". Returns ret. */
const char *net_port_format(const struct net_port *port, char ret[NET_PORT_TEXT]);
