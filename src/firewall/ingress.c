/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine's link may send to the host: a chain on that link alone, before connections are
 * tracked. Packet sockets see all frames nevertheless. Pure. Supervisor's side.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "firewall/rules.h"
#include "lib/macro.h"

#define DNS_PORT 53
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68

static const struct net_prefix v4_any = {.address = {.family = AF_INET}, .length = 32};
static const struct net_prefix v6_any = {.address = {.family = AF_INET6}, .length = 128};
static const struct net_prefix v4_loopback = {.address = {.family = AF_INET, .bytes = {127}},
					      .length = 8};
static const struct net_prefix v6_link_local = {
	.address = {.family = AF_INET6, .bytes = {0xfe, 0x80}}, .length = 10};

#define DROP(...) FIREWALL_ADD(rules, FIREWALL_INGRESS, FIREWALL_DROP, __VA_ARGS__)
#define ACCEPT(...) FIREWALL_ADD(rules, FIREWALL_INGRESS, FIREWALL_ACCEPT, __VA_ARGS__)

static const uint16_t vlan_tags[] = {ETH_P_8021Q, ETH_P_8021AD};

/*
 * Tagged frames carry packets past every rule below, and nothing here expects them. The tag may
 * have been taken off the frame already; the kernel puts it back for who looks at the link header.
 */
static void drop_tagged(struct firewall_rules *rules)
{
	for (size_t i = 0; i < ARRAY_SIZE(vlan_tags); i++)
		DROP({.field = FIREWALL_FRAME_TYPE, .number = vlan_tags[i]});
}

/*
 * VLAN 0 is no VLAN: the kernel goes on with what is in it, on this very link. A single tag is gone
 * before this chain. A second one would be taken off behind it, and a packet for 127.0.0.0/8 could
 * be in it. What other numbers lead to is another link, without route_localnet.
 */
static void drop_nested_in_none(struct firewall_rules *rules)
{
	for (size_t i = 0; i < ARRAY_SIZE(vlan_tags); i++)
		DROP({.field = FIREWALL_ETHERTYPE, .number = vlan_tags[i]},
		     {.field = FIREWALL_VLAN_NUMBER, .number = 0});
}

static struct firewall_match not_mac(enum firewall_field field, const uint8_t mac[ETH_ALEN])
{
	struct firewall_match match = {.field = field, .is_not = true};

	memcpy(match.mac, mac, ETH_ALEN);
	return match;
}

static void check_hardware(struct firewall_rules *rules, const struct firewall_config *config)
{
	DROP(not_mac(FIREWALL_FRAME_SOURCE, config->guest_mac));
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_ARP},
	     not_mac(FIREWALL_ARP_HARDWARE, config->guest_mac));
}

/* The link has route_localnet, for answers; that must open nothing to the machine. */
static void drop_loopback(struct firewall_rules *rules)
{
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IP},
	     {.field = FIREWALL_DESTINATION, .prefix = v4_loopback});
}

static void drop_dns(struct firewall_rules *rules, const struct net_address *host)
{
	if (!net_address_is_set(host))
		return;
	DROP({.field = FIREWALL_ETHERTYPE,
	      .number = host->family == AF_INET ? ETH_P_IP : ETH_P_IPV6},
	     {.field = FIREWALL_DESTINATION, .prefix = firewall_only(host)},
	     {.field = FIREWALL_PROTOCOL, .number = IPPROTO_UDP},
	     {.field = FIREWALL_DESTINATION_PORTS, .number = DNS_PORT, .last = DNS_PORT});
}

/* The supervisor answers these from its packet socket: nobody else here shall answer, or refuse. */
static void drop_served(struct firewall_rules *rules, const struct firewall_config *config)
{
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IP},
	     {.field = FIREWALL_PROTOCOL, .number = IPPROTO_UDP},
	     {.field = FIREWALL_DESTINATION_PORTS,
	      .number = DHCP_SERVER_PORT,
	      .last = DHCP_SERVER_PORT});
	drop_dns(rules, &config->host4);
	drop_dns(rules, &config->host6);
}

/* A machine must not act as a router for the host or its zone. */
static void drop_routing(struct firewall_rules *rules)
{
	static const struct {
		uint16_t ethertype;
		uint8_t protocol, type;
	} rows[] = {
		{ETH_P_IPV6, IPPROTO_ICMPV6, ND_ROUTER_ADVERT},
		{ETH_P_IPV6, IPPROTO_ICMPV6, ND_REDIRECT},
		{ETH_P_IP, IPPROTO_ICMP, ICMP_REDIRECT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		DROP({.field = FIREWALL_ETHERTYPE, .number = rows[i].ethertype},
		     {.field = FIREWALL_PROTOCOL, .number = rows[i].protocol},
		     {.field = FIREWALL_ICMP_TYPE, .number = rows[i].type});
}

static void check_v4(struct firewall_rules *rules, const struct net_address *guest)
{
	/* A probe for a free address (RFC 5227) is sent from 0.0.0.0. */
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_ARP},
	     {.field = FIREWALL_ARP_ADDRESS, .is_not = true, .prefix = firewall_only(guest)},
	     {.field = FIREWALL_ARP_ADDRESS, .is_not = true, .prefix = v4_any});
	ACCEPT({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IP},
	       {.field = FIREWALL_SOURCE, .prefix = v4_any},
	       {.field = FIREWALL_PROTOCOL, .number = IPPROTO_UDP},
	       {.field = FIREWALL_SOURCE_PORTS,
		.number = DHCP_CLIENT_PORT,
		.last = DHCP_CLIENT_PORT});
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IP},
	     {.field = FIREWALL_SOURCE, .is_not = true, .prefix = firewall_only(guest)});
}

static void check_v6(struct firewall_rules *rules, const struct net_prefix *subnet,
		     const struct net_address *host)
{
	/* For IPv4 the kernel itself drops packets that claim to come from the host. */
	if (net_address_is_set(host))
		DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IPV6},
		     {.field = FIREWALL_SOURCE, .prefix = firewall_only(host)});
	DROP({.field = FIREWALL_ETHERTYPE, .number = ETH_P_IPV6},
	     {.field = FIREWALL_SOURCE, .is_not = true, .prefix = v6_link_local},
	     {.field = FIREWALL_SOURCE, .is_not = true, .prefix = *subnet},
	     {.field = FIREWALL_SOURCE, .is_not = true, .prefix = v6_any});
}

static void check_source(struct firewall_rules *rules, const struct firewall_config *config)
{
	struct net_prefix subnet6 = config->subnet6;

	if (!net_address_is_set(&subnet6.address))
		subnet6 = (struct net_prefix){.address = config->guest6, .length = 128};
	drop_routing(rules);
	if (net_address_is_set(&config->guest4))
		check_v4(rules, &config->guest4);
	if (net_address_is_set(&subnet6.address))
		check_v6(rules, &subnet6, &config->host6);
}

void firewall_add_ingress(struct firewall_rules *rules, const struct firewall_config *config)
{
	if (config->vlans)
		drop_nested_in_none(rules);
	else
		drop_tagged(rules);
	if (config->check_source)
		check_hardware(rules, config);
	drop_loopback(rules);
	if (config->serves)
		drop_served(rules, config);
	if (config->check_source)
		check_source(rules, config);
}
