/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A rule as messages of nf_tables. Quiet; what can't be added is sticky in the batch. */
#pragma once

#include "firewall/rules.h"
#include "kernel/nft.h"

/* Whose table a chain is in. */
enum firewall_owner { FIREWALL_OURS_INET, FIREWALL_OURS_NETDEV, FIREWALL_OTHERS };

/*
 * The rules of one owner, with the chains that they need: into the machine's table `name`, or, of
 * FIREWALL_OTHERS, at the head of chains that exist, with the comment `name`.
 */
void firewall_send(struct nft_batch *batch, const struct firewall_rules *rules,
		   enum firewall_owner owner, const char *name, const char *link);
/* The chain as the kernel knows it, but for `table` and `device`. */
const struct nft_chain *firewall_chain_in_kernel(enum firewall_chain chain);
