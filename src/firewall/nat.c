/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forwarded ports and masquerading. Only the first packet of a connection meets these chains, of
 * whichever machine. Quiet. Supervisor's side.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include "firewall/match.h"
#include "firewall/tables.h"
#include "lib/macro.h"

/*
 * Before the rules of others (dstnat, -100): a port that was asked for by number, and is bound by
 * its supervisor, is a narrower wish than a rule that redirects all of a kind.
 */
#define PORTS_PRIORITY (-101)
/* After the rules of others (srcnat, 100): an administrator who gives what leaves a particular
 * address is right; ours only needs that it has any. */
#define MASQUERADE_PRIORITY 101

static const struct net_prefix v4_loopback = {.address = {.family = AF_INET, .bytes = {127}},
					      .length = 8};
static const struct net_address v6_loopback = {.family = AF_INET6, .bytes = {[15] = 1}};
static const struct net_prefix v6_link_local = {
	.address = {.family = AF_INET6, .bytes = {0xfe, 0x80}}, .length = 10};
/* Everything that leads to a machine of ours, or of nspawn's; what leaves by lo stays here. */
static const char *const inner_links[] = {"lo", "ve-*", "vb-*", "vz-*"};

static bool is_any(const struct net_address *address)
{
	struct net_address any = {.family = address->family};

	return net_address_equal(address, &any);
}

/* No translation gets these anywhere, in or out; the listening proxy serves them. */
static bool is_for_proxy(const struct firewall_rules *rules, const struct net_address *bind)
{
	return net_address_equal(bind, &v6_loopback) || net_prefix_contains(&v6_link_local, bind) ||
	       (!rules->translates_loopback && net_prefix_contains(&v4_loopback, bind));
}

/* Bound to one address: that. To all: any that is the host's and can be translated. */
static void match_local(struct nft_batch *batch, const struct firewall_rules *rules,
			const struct net_port *port, uint8_t family)
{
	static const uint32_t local = RTN_LOCAL;

	if (!is_any(&port->bind)) {
		firewall_match_address(batch, FIREWALL_DESTINATION, NFT_CMP_EQ, &port->bind);
		return;
	}
	if (family == NFPROTO_IPV6) {
		firewall_match_address(batch, FIREWALL_DESTINATION, NFT_CMP_NEQ, &v6_loopback);
		firewall_match_prefix(batch, FIREWALL_DESTINATION, NFT_CMP_NEQ, &v6_link_local);
	} else if (!rules->translates_loopback) {
		firewall_match_prefix(batch, FIREWALL_DESTINATION, NFT_CMP_NEQ, &v4_loopback);
	}
	nft_fib_daddr_type(batch, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, &local, sizeof(local));
}

/* The machine's address into register 1, and its port, where it is another, into register 2. */
static void translate(struct nft_batch *batch, const struct net_port *port,
		      const struct net_address *target, uint32_t map)
{
	uint16_t guest_port = htons(port->guest_first);
	uint32_t port_reg = 0;

	nft_load(batch, NFT_REG_1, target->bytes, (uint32_t)net_address_size(target));
	if (map != 0) {
		nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(guest_port), NFT_REG_2);
		nft_lookup(batch, map, NFT_REG_2, NFT_REG_2);
		port_reg = NFT_REG_2;
	} else if (port->guest_first != port->first) {
		nft_load(batch, NFT_REG_2, &guest_port, sizeof(guest_port));
		port_reg = NFT_REG_2;
	}
	nft_dnat(batch, (uint8_t)target->family, NFT_REG_1, port_reg);
}

/* Numbers that are shifted need a map; one port, or a range that keeps its numbers, does not. */
static uint32_t add_map(struct nft_batch *batch, const struct nft_chain *chain,
			const struct net_port *port)
{
	if (port->first == port->last || port->first == port->guest_first)
		return 0;
	return nft_add_port_map(batch, chain, port->first, (uint32_t)port->last - port->first + 1,
				port->guest_first);
}

static void add_port(struct nft_batch *batch, const struct nft_chain *chain,
		     const struct firewall_rules *rules, const struct net_port *port,
		     const struct net_address *target)
{
	uint8_t family = (uint8_t)target->family;
	uint32_t map;

	if (!net_address_is_set(target) || is_for_proxy(rules, &port->bind) ||
	    (net_address_is_set(&port->bind) && port->bind.family != target->family))
		return;
	/* From outside nobody may reach what is bound to 127.0.0.1: what arrives for it is dropped
	 * as martian, but only after this chain. */
	if (chain->hook == NF_INET_PRE_ROUTING && net_prefix_contains(&v4_loopback, &port->bind))
		return;
	map = add_map(batch, chain, port);
	nft_begin_rule(batch, chain, true, NULL);
	firewall_match_family(batch, family);
	firewall_match_protocol(batch, (uint8_t)port->protocol);
	firewall_match_ports(batch, FIREWALL_DESTINATION, port->first, port->last);
	match_local(batch, rules, port, family);
	translate(batch, port, target, map);
	nft_end_rule(batch);
}

static void add_ports(struct nft_batch *batch, const char *table, const char *name, uint32_t hook,
		      const struct firewall_rules *rules)
{
	struct nft_chain chain = {.family = NFPROTO_INET,
				  .table = table,
				  .name = name,
				  .type = "nat",
				  .hook = hook,
				  .priority = PORTS_PRIORITY};

	nft_add_chain(batch, &chain);
	for (size_t i = 0; i < rules->port_count; i++) {
		add_port(batch, &chain, rules, &rules->ports[i], &rules->target4);
		add_port(batch, &chain, rules, &rules->ports[i], &rules->target6);
	}
}

/*
 * The answer to a forwarded connection must come back by the host, which alone can undo the
 * translation: a machine would answer 127.0.0.1 or its neighbour, or itself, directly. The
 * interface where it came in isn't asked for: with br_netfilter there is none here.
 */
static void add_hairpin(struct nft_batch *batch, const struct nft_chain *chain,
			const struct net_prefix *source, const struct net_address *target)
{
	static const uint32_t status = IPS_DST_NAT, none;

	if (!net_address_is_set(target) || source->address.family != target->family)
		return;
	nft_begin_rule(batch, chain, true, NULL);
	firewall_match_family(batch, (uint8_t)target->family);
	firewall_match_prefix(batch, FIREWALL_SOURCE, NFT_CMP_EQ, source);
	firewall_match_address(batch, FIREWALL_DESTINATION, NFT_CMP_EQ, target);
	nft_ct(batch, NFT_CT_STATUS, NFT_REG_1);
	nft_mask(batch, NFT_REG_1, &status, sizeof(status));
	nft_cmp(batch, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
	nft_masquerade(batch);
	nft_end_rule(batch);
}

static void add_masquerade(struct nft_batch *batch, const struct nft_chain *chain,
			   const struct net_prefix *subnet)
{
	if (!net_address_is_set(&subnet->address))
		return;
	nft_begin_rule(batch, chain, true, NULL);
	firewall_match_family(batch, (uint8_t)subnet->address.family);
	firewall_match_prefix(batch, FIREWALL_SOURCE, NFT_CMP_EQ, subnet);
	for (size_t i = 0; i < ARRAY_SIZE(inner_links); i++)
		firewall_match_link(batch, NFT_META_OIFNAME, NFT_CMP_NEQ, inner_links[i]);
	nft_masquerade(batch);
	nft_end_rule(batch);
}

/* Whose packets to the machine go back by the host: its subnet, or, where that isn't known, it. */
static struct net_prefix neighbours(const struct net_prefix *subnet,
				    const struct net_address *target)
{
	struct net_prefix only = {.address = *target,
				  .length = (uint8_t)(net_address_size(target) * 8)};

	return net_address_is_set(&subnet->address) ? *subnet : only;
}

static void add_postrouting(struct nft_batch *batch, const char *table,
			    const struct firewall_rules *rules)
{
	struct nft_chain chain = {.family = NFPROTO_INET,
				  .table = table,
				  .name = "postrouting",
				  .type = "nat",
				  .hook = NF_INET_POST_ROUTING,
				  .priority = MASQUERADE_PRIORITY};
	struct net_prefix near4 = neighbours(&rules->subnet4, &rules->target4);
	struct net_prefix near6 = neighbours(&rules->subnet6, &rules->target6);

	nft_add_chain(batch, &chain);
	if (rules->masquerade) {
		add_masquerade(batch, &chain, &rules->subnet4);
		add_masquerade(batch, &chain, &rules->subnet6);
	}
	if (rules->port_count == 0)
		return;
	add_hairpin(batch, &chain, &v4_loopback, &rules->target4);
	add_hairpin(batch, &chain, &near4, &rules->target4);
	add_hairpin(batch, &chain, &near6, &rules->target6);
}

/* Chains without rules would cost everybody's connections a look. */
void firewall_add_nat(struct nft_batch *batch, const char *table,
		      const struct firewall_rules *rules)
{
	if (rules->port_count > 0) {
		add_ports(batch, table, "prerouting", NF_INET_PRE_ROUTING, rules);
		add_ports(batch, table, "output", NF_INET_LOCAL_OUT, rules);
	}
	if (rules->port_count > 0 || rules->masquerade)
		add_postrouting(batch, table, rules);
}
