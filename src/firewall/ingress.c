/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine's link may send to the host: a chain that hangs on that link alone, before
 * connections are tracked. Packet sockets see everything nevertheless. Quiet. Supervisor's side.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip_icmp.h>

#include "firewall/match.h"
#include "firewall/tables.h"
#include "lib/macro.h"

#define DNS_PORT 53
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define ETHER_SOURCE 6
#define ETHER_TYPE 12
#define VLAN_NUMBER 14 /* and the priority in front of it */
#define ARP_SENDER_HARDWARE 8
#define ARP_SENDER_ADDRESS 14

static const struct net_address v4_any = {.family = AF_INET};
static const struct net_address v6_any = {.family = AF_INET6};
static const struct net_prefix v4_loopback = {.address = {.family = AF_INET, .bytes = {127}},
					      .length = 8};
static const struct net_prefix v6_link_local = {
	.address = {.family = AF_INET6, .bytes = {0xfe, 0x80}}, .length = 10};

/* A rule that has its ethertype; the verdict is added by end(). */
static void begin(struct nft_batch *batch, const struct nft_chain *chain, uint16_t ethertype)
{
	nft_begin_rule(batch, chain, true, NULL);
	if (ethertype != 0)
		firewall_match_ethertype(batch, ethertype);
}

static void end(struct nft_batch *batch, int verdict)
{
	nft_verdict(batch, verdict);
	nft_end_rule(batch);
}

static const uint16_t vlan_tags[] = {ETH_P_8021Q, ETH_P_8021AD};

/*
 * Tagged frames carry packets past every rule below, and nothing here expects them. The tag may
 * have been taken off the frame already; the kernel puts it back for who looks at the link header.
 */
static void drop_tagged(struct nft_batch *batch, const struct nft_chain *chain)
{
	for (size_t i = 0; i < ARRAY_SIZE(vlan_tags); i++) {
		uint16_t tag = htons(vlan_tags[i]);

		begin(batch, chain, 0);
		nft_payload(batch, NFT_PAYLOAD_LL_HEADER, ETHER_TYPE, sizeof(tag), NFT_REG_1);
		nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &tag, sizeof(tag));
		end(batch, NF_DROP);
	}
}

/*
 * VLAN 0 is no VLAN: the kernel goes on with what is in it, on this very link. A single tag is gone
 * before this chain. A second one would be taken off behind it, and a packet for 127.0.0.0/8 could
 * be in it. What other numbers lead to is another link, without route_localnet.
 */
static void drop_nested_in_none(struct nft_batch *batch, const struct nft_chain *chain)
{
	static const uint8_t number_mask[] = {0x0f, 0xff}, none[sizeof(number_mask)];

	for (size_t i = 0; i < ARRAY_SIZE(vlan_tags); i++) {
		begin(batch, chain, vlan_tags[i]);
		nft_payload(batch, NFT_PAYLOAD_LL_HEADER, VLAN_NUMBER, sizeof(number_mask),
			    NFT_REG_1);
		nft_mask(batch, NFT_REG_1, number_mask, sizeof(number_mask));
		nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, none, sizeof(none));
		end(batch, NF_DROP);
	}
}

static void check_hardware(struct nft_batch *batch, const struct nft_chain *chain,
			   const struct firewall_rules *rules)
{
	begin(batch, chain, 0);
	nft_payload(batch, NFT_PAYLOAD_LL_HEADER, ETHER_SOURCE, ETH_ALEN, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, rules->guest_mac, ETH_ALEN);
	end(batch, NF_DROP);
	begin(batch, chain, ETH_P_ARP);
	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, ARP_SENDER_HARDWARE, ETH_ALEN, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, rules->guest_mac, ETH_ALEN);
	end(batch, NF_DROP);
}

/* The link has route_localnet, for answers; that must open nothing to the machine. */
static void drop_loopback(struct nft_batch *batch, const struct nft_chain *chain)
{
	begin(batch, chain, ETH_P_IP);
	firewall_match_prefix(batch, FIREWALL_DESTINATION, NFT_CMP_EQ, &v4_loopback);
	end(batch, NF_DROP);
}

static void drop_dns(struct nft_batch *batch, const struct nft_chain *chain,
		     const struct net_address *host)
{
	if (!net_address_is_set(host))
		return;
	begin(batch, chain, host->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	firewall_match_address(batch, FIREWALL_DESTINATION, NFT_CMP_EQ, host);
	firewall_match_protocol(batch, IPPROTO_UDP);
	firewall_match_ports(batch, FIREWALL_DESTINATION, DNS_PORT, DNS_PORT);
	end(batch, NF_DROP);
}

/* Answered from the supervisor's packet socket: nobody else here shall answer, or refuse. */
static void drop_served(struct nft_batch *batch, const struct nft_chain *chain,
			const struct firewall_rules *rules)
{
	begin(batch, chain, ETH_P_IP);
	firewall_match_protocol(batch, IPPROTO_UDP);
	firewall_match_ports(batch, FIREWALL_DESTINATION, DHCP_SERVER_PORT, DHCP_SERVER_PORT);
	end(batch, NF_DROP);
	drop_dns(batch, chain, &rules->host4);
	drop_dns(batch, chain, &rules->host6);
}

/* A machine is no router of the host's, nor of its zone's. */
static void drop_routing(struct nft_batch *batch, const struct nft_chain *chain)
{
	static const struct {
		uint16_t ethertype;
		uint8_t protocol, type;
	} rows[] = {
		{ETH_P_IPV6, IPPROTO_ICMPV6, ND_ROUTER_ADVERT},
		{ETH_P_IPV6, IPPROTO_ICMPV6, ND_REDIRECT},
		{ETH_P_IP, IPPROTO_ICMP, ICMP_REDIRECT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(batch, chain, rows[i].ethertype);
		firewall_match_protocol(batch, rows[i].protocol);
		nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
		nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &rows[i].type, 1);
		end(batch, NF_DROP);
	}
}

static void check_arp(struct nft_batch *batch, const struct nft_chain *chain,
		      const struct net_address *guest)
{
	begin(batch, chain, ETH_P_ARP);
	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, ARP_SENDER_ADDRESS, sizeof(guest->v4),
		    NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, &guest->v4, sizeof(guest->v4));
	/* Who looks whether an address is free has none yet. */
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, &v4_any.v4, sizeof(v4_any.v4));
	end(batch, NF_DROP);
}

static void check_v4(struct nft_batch *batch, const struct nft_chain *chain,
		     const struct net_address *guest)
{
	check_arp(batch, chain, guest);
	begin(batch, chain, ETH_P_IP);
	firewall_match_address(batch, FIREWALL_SOURCE, NFT_CMP_EQ, &v4_any);
	firewall_match_protocol(batch, IPPROTO_UDP);
	firewall_match_ports(batch, FIREWALL_SOURCE, DHCP_CLIENT_PORT, DHCP_CLIENT_PORT);
	end(batch, NF_ACCEPT);
	begin(batch, chain, ETH_P_IP);
	firewall_match_address(batch, FIREWALL_SOURCE, NFT_CMP_NEQ, guest);
	end(batch, NF_DROP);
}

static void check_v6(struct nft_batch *batch, const struct nft_chain *chain,
		     const struct net_prefix *subnet, const struct net_address *host)
{
	/* Of IPv4 the kernel itself takes nothing that seems to come from it. */
	if (net_address_is_set(host)) {
		begin(batch, chain, ETH_P_IPV6);
		firewall_match_address(batch, FIREWALL_SOURCE, NFT_CMP_EQ, host);
		end(batch, NF_DROP);
	}
	begin(batch, chain, ETH_P_IPV6);
	firewall_match_prefix(batch, FIREWALL_SOURCE, NFT_CMP_NEQ, &v6_link_local);
	firewall_match_prefix(batch, FIREWALL_SOURCE, NFT_CMP_NEQ, subnet);
	firewall_match_address(batch, FIREWALL_SOURCE, NFT_CMP_NEQ, &v6_any);
	end(batch, NF_DROP);
}

static void check_source(struct nft_batch *batch, const struct nft_chain *chain,
			 const struct firewall_rules *rules)
{
	struct net_prefix subnet6 = rules->subnet6;

	if (!net_address_is_set(&subnet6.address))
		subnet6 = (struct net_prefix){.address = rules->guest6, .length = 128};
	drop_routing(batch, chain);
	if (net_address_is_set(&rules->guest4))
		check_v4(batch, chain, &rules->guest4);
	if (net_address_is_set(&subnet6.address))
		check_v6(batch, chain, &subnet6, &rules->host6);
}

void firewall_add_ingress(struct nft_batch *batch, const char *table,
			  const struct firewall_rules *rules)
{
	struct nft_chain chain = {.family = NFPROTO_NETDEV,
				  .table = table,
				  .name = "ingress",
				  .type = "filter",
				  .hook = NF_NETDEV_INGRESS,
				  .device = rules->link};

	nft_add_chain(batch, &chain);
	if (rules->vlans)
		drop_nested_in_none(batch, &chain);
	else
		drop_tagged(batch, &chain);
	if (rules->check_source)
		check_hardware(batch, &chain, rules);
	drop_loopback(batch, &chain);
	if (rules->serves)
		drop_served(batch, &chain, rules);
	if (rules->check_source)
		check_source(batch, &chain, rules);
}
