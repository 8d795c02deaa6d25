/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The chains of a machine's own tables. Quiet; what can't be added is sticky in the batch. */
#pragma once

#include "firewall/firewall.h"
#include "kernel/nft.h"

/* Forwarded ports and masquerading, into the table of family inet. */
void firewall_add_nat(struct nft_batch *batch, const char *table,
		      const struct firewall_rules *rules);
/* What the link may send, into the table of family netdev. */
void firewall_add_ingress(struct nft_batch *batch, const char *table,
			  const struct firewall_rules *rules);
