/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Simulates what a filter of others does to a TCP packet, one of three kinds that a machine needs.
 * Reads the rules of those chains only that the packet reaches. What is unknown about the packet
 * (its addresses, and the other interface, except that it isn't the link) is decided in its favour;
 * ports, marks and extensions are taken not to match. So what is reported as dropped is dropped in
 * general, and in doubt nothing is reported. Quiet.
 */
#pragma once

#include "firewall/ruleset.h"

enum firewall_packet {
	FIREWALL_CALL,	 /* new, from the link */
	FIREWALL_ANSWER, /* to that, and thus to the link */
	FIREWALL_PORT,	 /* new, to the link, by a forwarded port */
};

enum firewall_fate { FIREWALL_PASSES, FIREWALL_DROPPED_BY_RULE, FIREWALL_DROPPED_BY_POLICY };

/* nfproto: NFPROTO_IPV4 or _IPV6; a chain of another family lets it pass. */
enum firewall_fate firewall_walk(struct firewall_ruleset *ruleset, struct others_chain *base,
				 const char *link, enum firewall_packet packet, uint8_t nfproto);
