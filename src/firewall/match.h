/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conditions that our rules are made of: each adds what nft(8) would add for the words in its
 * comment to the rule that has been begun. Quiet. Supervisor's side.
 */
#pragma once

#include "kernel/nft.h"
#include "net/address.h"

enum firewall_end { FIREWALL_SOURCE, FIREWALL_DESTINATION };

/* meta iifname / oifname, equal to or not; the part before a "*" where the name ends with one. */
void firewall_match_link(struct nft_batch *batch, uint32_t key, uint32_t op, const char *name);
/* meta nfproto; family: NFPROTO_IPV4 or _IPV6 (which AF_INET and AF_INET6 are) */
void firewall_match_family(struct nft_batch *batch, uint8_t family);
/* meta protocol ETHERTYPE */
void firewall_match_ethertype(struct nft_batch *batch, uint16_t type);
/* meta l4proto */
void firewall_match_protocol(struct nft_batch *batch, uint8_t protocol);
/* ip saddr, ip6 daddr …; the family must have been matched before. */
void firewall_match_address(struct nft_batch *batch, enum firewall_end end, uint32_t op,
			    const struct net_address *address);
void firewall_match_prefix(struct nft_batch *batch, enum firewall_end end, uint32_t op,
			   const struct net_prefix *prefix);
/* th dport FIRST-LAST; the protocol must have been matched before. */
void firewall_match_ports(struct nft_batch *batch, enum firewall_end end, uint16_t first,
			  uint16_t last);
