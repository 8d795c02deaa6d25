/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns rules into what nft(8) would send for them. Must not decide anything: what a rule says is
 * in the rule. Quiet. Supervisor's side.
 */
#include "firewall/send.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "lib/macro.h"

/* After <netinet/in.h>, which has the same definitions. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

/*
 * Before the rules of others (dstnat, -100): a port that was asked for by number, and is bound by
 * its supervisor, is more specific than a rule that redirects all of a kind.
 */
#define PORTS_PRIORITY (-101)
/* After the rules of others (srcnat, 100): an administrator may choose the address that packets
 * leave with; ours only need one. */
#define MASQUERADE_PRIORITY 101

#define IPTABLES_TABLE "filter"
#define AT_ETHER_SOURCE 6
#define AT_ETHER_TYPE 12
#define AT_VLAN_NUMBER 14 /* and the priority in front of it */
#define AT_ARP_HARDWARE 8
#define AT_ARP_ADDRESS 14

static const struct nft_chain chains[FIREWALL_CHAIN_COUNT] = {
	[FIREWALL_INGRESS] = {.family = NFPROTO_NETDEV,
			      .name = "ingress",
			      .type = "filter",
			      .hook = NF_NETDEV_INGRESS},
	[FIREWALL_PREROUTING] = {.family = NFPROTO_INET,
				 .name = "prerouting",
				 .type = "nat",
				 .hook = NF_INET_PRE_ROUTING,
				 .priority = PORTS_PRIORITY},
	[FIREWALL_OUTPUT] = {.family = NFPROTO_INET,
			     .name = "output",
			     .type = "nat",
			     .hook = NF_INET_LOCAL_OUT,
			     .priority = PORTS_PRIORITY},
	[FIREWALL_POSTROUTING] = {.family = NFPROTO_INET,
				  .name = "postrouting",
				  .type = "nat",
				  .hook = NF_INET_POST_ROUTING,
				  .priority = MASQUERADE_PRIORITY},
	[FIREWALL_FORWARD4] = {NFPROTO_IPV4, IPTABLES_TABLE, "FORWARD"},
	[FIREWALL_FORWARD6] = {NFPROTO_IPV6, IPTABLES_TABLE, "FORWARD"},
	[FIREWALL_DOCKER4] = {NFPROTO_IPV4, IPTABLES_TABLE, "DOCKER-USER"},
	[FIREWALL_DOCKER6] = {NFPROTO_IPV6, IPTABLES_TABLE, "DOCKER-USER"},
};

const struct nft_chain *firewall_chain_in_kernel(enum firewall_chain chain)
{
	return &chains[chain];
}

static enum firewall_owner owner_of(enum firewall_chain chain)
{
	return chain == FIREWALL_INGRESS       ? FIREWALL_OURS_NETDEV
	       : chain <= FIREWALL_POSTROUTING ? FIREWALL_OURS_INET
					       : FIREWALL_OTHERS;
}

static uint32_t op_of(const struct firewall_match *match)
{
	return match->is_not ? NFT_CMP_NEQ : NFT_CMP_EQ;
}

/* Compares what a field has in register 1. */
static void compare(struct nft_batch *batch, const struct firewall_match *match, const void *data,
		    size_t size)
{
	nft_cmp(batch, NFT_REG_1, op_of(match), data, (uint32_t)size);
}

static void send_number8(struct nft_batch *batch, const struct firewall_match *match, uint32_t key)
{
	uint8_t number = (uint8_t)match->number;

	nft_meta(batch, key, NFT_REG_1);
	compare(batch, match, &number, sizeof(number));
}

static void send_family(struct nft_batch *batch, const struct firewall_match *match)
{
	send_number8(batch, match, NFT_META_NFPROTO);
}

static void send_protocol(struct nft_batch *batch, const struct firewall_match *match)
{
	send_number8(batch, match, NFT_META_L4PROTO);
}

static void send_ethertype(struct nft_batch *batch, const struct firewall_match *match)
{
	uint16_t type = htons(match->number);

	nft_meta(batch, NFT_META_PROTOCOL, NFT_REG_1);
	compare(batch, match, &type, sizeof(type));
}

static void send_frame_type(struct nft_batch *batch, const struct firewall_match *match)
{
	uint16_t type = htons(match->number);

	nft_payload(batch, NFT_PAYLOAD_LL_HEADER, AT_ETHER_TYPE, sizeof(type), NFT_REG_1);
	compare(batch, match, &type, sizeof(type));
}

static void send_vlan_number(struct nft_batch *batch, const struct firewall_match *match)
{
	static const uint8_t mask[] = {0x0f, 0xff};
	uint16_t number = htons(match->number);

	nft_payload(batch, NFT_PAYLOAD_LL_HEADER, AT_VLAN_NUMBER, sizeof(mask), NFT_REG_1);
	nft_mask(batch, NFT_REG_1, mask, sizeof(mask));
	compare(batch, match, &number, sizeof(number));
}

static void send_frame_source(struct nft_batch *batch, const struct firewall_match *match)
{
	nft_payload(batch, NFT_PAYLOAD_LL_HEADER, AT_ETHER_SOURCE, ETH_ALEN, NFT_REG_1);
	compare(batch, match, match->mac, ETH_ALEN);
}

static void send_arp_hardware(struct nft_batch *batch, const struct firewall_match *match)
{
	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, AT_ARP_HARDWARE, ETH_ALEN, NFT_REG_1);
	compare(batch, match, match->mac, ETH_ALEN);
}

static void send_arp_address(struct nft_batch *batch, const struct firewall_match *match)
{
	const struct net_address *address = &match->prefix.address;

	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, AT_ARP_ADDRESS, sizeof(address->v4),
		    NFT_REG_1);
	compare(batch, match, &address->v4, sizeof(address->v4));
}

static void send_icmp_type(struct nft_batch *batch, const struct firewall_match *match)
{
	uint8_t type = (uint8_t)match->number;

	nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(type), NFT_REG_1);
	compare(batch, match, &type, sizeof(type));
}

/* saddr or daddr, in the header of either family; masked unless it is a whole address. */
static void send_address(struct nft_batch *batch, const struct firewall_match *match)
{
	bool is_source = match->field == FIREWALL_SOURCE, is_v4;
	struct net_prefix network = net_prefix_network(&match->prefix), mask = match->prefix;
	uint32_t size = (uint32_t)net_address_size(&network.address), offset;

	is_v4 = network.address.family == AF_INET;
	offset = is_v4 ? (is_source ? 12 : 16) : (is_source ? 8 : 24);
	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, size, NFT_REG_1);
	if (network.length < size * 8) {
		memset(mask.address.bytes, 0xff, sizeof(mask.address.bytes));
		mask = net_prefix_network(&mask);
		nft_mask(batch, NFT_REG_1, mask.address.bytes, size);
	}
	compare(batch, match, network.address.bytes, size);
}

/* At the same place in the headers of TCP, UDP and SCTP. */
static void send_ports(struct nft_batch *batch, const struct firewall_match *match)
{
	uint16_t from = htons(match->number), to = htons(match->last);
	uint32_t offset = match->field == FIREWALL_SOURCE_PORTS ? 0 : 2;

	nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(from), NFT_REG_1);
	if (from == to)
		compare(batch, match, &from, sizeof(from));
	else
		nft_range(batch, NFT_REG_1, &from, &to, sizeof(from));
}

static void send_link_out(struct nft_batch *batch, const struct firewall_match *match)
{
	char padded[IFNAMSIZ] = {};
	size_t length = strnlen(match->link, sizeof(padded) - 1);
	bool is_prefix = length > 0 && match->link[length - 1] == '*';

	memcpy(padded, match->link, is_prefix ? length - 1 : length);
	nft_meta(batch, NFT_META_OIFNAME, NFT_REG_1);
	compare(batch, match, padded, is_prefix ? length - 1 : sizeof(padded));
}

static void send_local(struct nft_batch *batch, const struct firewall_match *match)
{
	static const uint32_t local = RTN_LOCAL;

	nft_fib_daddr_type(batch, NFT_REG_1);
	compare(batch, match, &local, sizeof(local));
}

static void send_translated(struct nft_batch *batch, const struct firewall_match *match)
{
	static const uint32_t status = IPS_DST_NAT, none;

	nft_ct(batch, NFT_CT_STATUS, NFT_REG_1);
	nft_mask(batch, NFT_REG_1, &status, sizeof(status));
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
}

/* As `iptables -i LINK`, `-o LINK` makes it, so that iptables can still list the table. */
static void send_xt_link(struct nft_batch *batch, const struct firewall_match *match)
{
	nft_meta(batch, match->field == FIREWALL_XT_LINK_IN ? NFT_META_IIFNAME : NFT_META_OIFNAME,
		 NFT_REG_1);
	compare(batch, match, match->link, strlen(match->link) + 1);
}

static void send_xt_wanted(struct nft_batch *batch, const struct firewall_match *match)
{
	union {
		struct xt_conntrack_mtinfo3 match;
		uint64_t alignment[(sizeof(struct xt_conntrack_mtinfo3) + 7) / 8];
	} info = {.match = {.match_flags = XT_CONNTRACK_STATE,
			    .state_mask = XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) |
					  XT_CONNTRACK_STATE_BIT(IP_CT_RELATED) |
					  XT_CONNTRACK_STATE_DNAT}};

	nft_xt_match(batch, "conntrack", 3, &info, sizeof(info));
}

static void (*const fields[FIREWALL_FIELD_COUNT])(struct nft_batch *batch,
						  const struct firewall_match *match) = {
	[FIREWALL_FRAME_TYPE] = send_frame_type,
	[FIREWALL_VLAN_NUMBER] = send_vlan_number,
	[FIREWALL_FRAME_SOURCE] = send_frame_source,
	[FIREWALL_ETHERTYPE] = send_ethertype,
	[FIREWALL_ARP_HARDWARE] = send_arp_hardware,
	[FIREWALL_ARP_ADDRESS] = send_arp_address,
	[FIREWALL_FAMILY] = send_family,
	[FIREWALL_PROTOCOL] = send_protocol,
	[FIREWALL_ICMP_TYPE] = send_icmp_type,
	[FIREWALL_SOURCE] = send_address,
	[FIREWALL_DESTINATION] = send_address,
	[FIREWALL_SOURCE_PORTS] = send_ports,
	[FIREWALL_DESTINATION_PORTS] = send_ports,
	[FIREWALL_LINK_OUT] = send_link_out,
	[FIREWALL_LOCAL] = send_local,
	[FIREWALL_TRANSLATED] = send_translated,
	[FIREWALL_XT_LINK_IN] = send_xt_link,
	[FIREWALL_XT_LINK_OUT] = send_xt_link,
	[FIREWALL_XT_WANTED] = send_xt_wanted,
};

/* Ports that are shifted need a map; one port, or a range that keeps its numbers, does not. */
static uint32_t send_map(struct nft_batch *batch, const struct nft_chain *chain,
			 const struct firewall_rule *rule)
{
	const struct net_port *port = &rule->port;

	if (rule->verdict != FIREWALL_TRANSLATE || port->first == port->last ||
	    port->first == port->guest_first)
		return 0;
	return nft_add_port_map(batch, chain, port->first, (uint32_t)port->last - port->first + 1,
				port->guest_first);
}

/* The machine's address into register 1, and its port, where it is another, into register 2. */
static void send_translation(struct nft_batch *batch, const struct firewall_rule *rule,
			     uint32_t map)
{
	uint16_t guest_port = htons(rule->port.guest_first);
	uint32_t port_reg = 0;

	nft_load(batch, NFT_REG_1, rule->target.bytes, (uint32_t)net_address_size(&rule->target));
	if (map != 0) {
		nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(guest_port), NFT_REG_2);
		nft_lookup(batch, map, NFT_REG_2, NFT_REG_2);
		port_reg = NFT_REG_2;
	} else if (rule->port.guest_first != rule->port.first) {
		nft_load(batch, NFT_REG_2, &guest_port, sizeof(guest_port));
		port_reg = NFT_REG_2;
	}
	nft_dnat(batch, (uint8_t)rule->target.family, NFT_REG_1, port_reg);
}

static void send_verdict(struct nft_batch *batch, const struct firewall_rule *rule, uint32_t map)
{
	if (rule->verdict == FIREWALL_TRANSLATE)
		send_translation(batch, rule, map);
	else if (rule->verdict == FIREWALL_MASQUERADE)
		nft_masquerade(batch);
	else
		nft_verdict(batch, rule->verdict == FIREWALL_DROP ? NF_DROP : NF_ACCEPT);
}

static void send_rule(struct nft_batch *batch, const struct nft_chain *chain,
		      const struct firewall_rule *rule, const char *comment)
{
	uint32_t map = send_map(batch, chain, rule);
	const struct firewall_match *match = NULL;

	nft_begin_rule(batch, chain, !comment, comment);
	while ((match = firewall_next_match(rule, match)))
		fields[match->field](batch, match);
	if (comment) /* as iptables has it */
		nft_counter(batch);
	send_verdict(batch, rule, map);
	nft_end_rule(batch);
}

void firewall_send(struct nft_batch *batch, const struct firewall_rules *rules,
		   enum firewall_owner owner, const char *name, const char *link)
{
	bool is_made[FIREWALL_CHAIN_COUNT] = {};

	for (size_t i = 0; i < rules->count; i++) {
		const struct firewall_rule *rule = &rules->list[i];
		struct nft_chain chain = chains[rule->chain];

		if (owner_of(rule->chain) != owner)
			continue;
		if (owner == FIREWALL_OTHERS) {
			send_rule(batch, &chain, rule, name);
			continue;
		}
		chain.table = name;
		chain.device = owner == FIREWALL_OURS_NETDEV ? link : NULL;
		/* A chain without rules would only slow everybody's connections. */
		if (!is_made[rule->chain])
			nft_add_chain(batch, &chain);
		is_made[rule->chain] = true;
		send_rule(batch, &chain, rule, NULL);
	}
}
