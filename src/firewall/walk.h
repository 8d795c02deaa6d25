/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks an imagined TCP packet through a filter, one of three that a machine lives by. What isn't
 * known of it (addresses, the other interface, but that it isn't the link) is taken in its favour;
 * ports, marks and extensions are taken not to match. So what is found to be dropped is dropped in
 * general, and doubt says nothing. Quiet.
 */
#pragma once

#include "firewall/ruleset.h"

enum firewall_way {
	FIREWALL_CALL,	 /* new, from the link */
	FIREWALL_ANSWER, /* to that, and thus to the link */
	FIREWALL_PORT,	 /* new, to the link, by a forwarded port */
};

enum firewall_fate { FIREWALL_PASSES, FIREWALL_DROPPED_BY_RULE, FIREWALL_DROPPED_BY_POLICY };

/* nfproto: NFPROTO_IPV4 or _IPV6; a chain of another family lets it pass. */
enum firewall_fate firewall_walk(const struct firewall_ruleset *ruleset,
				 const struct firewall_chain *base, const char *link,
				 enum firewall_way way, uint8_t nfproto);
