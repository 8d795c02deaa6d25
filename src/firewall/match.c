/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conditions that our rules are made of. Quiet. Supervisor's side. */
#include "firewall/match.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

/* Of saddr and daddr, in the headers of either family. */
static const uint32_t v4_offset[] = {[FIREWALL_SOURCE] = 12, [FIREWALL_DESTINATION] = 16};
static const uint32_t v6_offset[] = {[FIREWALL_SOURCE] = 8, [FIREWALL_DESTINATION] = 24};
/* In the headers of TCP, UDP and SCTP alike. */
static const uint32_t port_offset[] = {[FIREWALL_SOURCE] = 0, [FIREWALL_DESTINATION] = 2};

void firewall_match_link(struct nft_batch *batch, uint32_t key, uint32_t op, const char *name)
{
	char padded[IFNAMSIZ] = {};
	size_t length = strnlen(name, sizeof(padded) - 1);
	bool is_prefix = length > 0 && name[length - 1] == '*';

	memcpy(padded, name, is_prefix ? length - 1 : length);
	nft_meta(batch, key, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, op, padded, is_prefix ? (uint32_t)length - 1 : sizeof(padded));
}

void firewall_match_family(struct nft_batch *batch, uint8_t family)
{
	nft_meta(batch, NFT_META_NFPROTO, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &family, sizeof(family));
}

void firewall_match_ethertype(struct nft_batch *batch, uint16_t type)
{
	type = htons(type);
	nft_meta(batch, NFT_META_PROTOCOL, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &type, sizeof(type));
}

void firewall_match_protocol(struct nft_batch *batch, uint8_t protocol)
{
	nft_meta(batch, NFT_META_L4PROTO, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

static void load_address(struct nft_batch *batch, enum firewall_end end,
			 const struct net_address *address)
{
	uint32_t offset = address->family == AF_INET ? v4_offset[end] : v6_offset[end];

	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, (uint32_t)net_address_size(address),
		    NFT_REG_1);
}

void firewall_match_address(struct nft_batch *batch, enum firewall_end end, uint32_t op,
			    const struct net_address *address)
{
	load_address(batch, end, address);
	nft_cmp(batch, NFT_REG_1, op, address->bytes, (uint32_t)net_address_size(address));
}

void firewall_match_prefix(struct nft_batch *batch, enum firewall_end end, uint32_t op,
			   const struct net_prefix *prefix)
{
	struct net_prefix network = net_prefix_network(prefix);
	uint32_t size = (uint32_t)net_address_size(&prefix->address);
	struct net_prefix mask = {.address.family = prefix->address.family,
				  .length = prefix->length};

	memset(mask.address.bytes, 0xff, sizeof(mask.address.bytes));
	mask = net_prefix_network(&mask);
	load_address(batch, end, &prefix->address);
	nft_mask(batch, NFT_REG_1, mask.address.bytes, size);
	nft_cmp(batch, NFT_REG_1, op, network.address.bytes, size);
}

void firewall_match_ports(struct nft_batch *batch, enum firewall_end end, uint16_t first,
			  uint16_t last)
{
	uint16_t from = htons(first), to = htons(last);

	nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, port_offset[end], sizeof(from), NFT_REG_1);
	if (first == last)
		nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &from, sizeof(from));
	else
		nft_range(batch, NFT_REG_1, &from, &to, sizeof(from));
}
