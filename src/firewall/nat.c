/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forwarded ports and masquerading. Only the first packet of each connection of the host passes
 * these chains. Pure. Supervisor's side.
 */
#include <arpa/inet.h>
#include <string.h>

#include "firewall/rules.h"
#include "lib/macro.h"

static const struct net_prefix v4_loopback = {.address = {.family = AF_INET, .bytes = {127}},
					      .length = 8};
static const struct net_prefix v6_loopback = {.address = {.family = AF_INET6, .bytes = {[15] = 1}},
					      .length = 128};
static const struct net_prefix v6_link_local = {
	.address = {.family = AF_INET6, .bytes = {0xfe, 0x80}}, .length = 10};
/* All links to machines of redd's and of systemd-nspawn's; what leaves by lo stays on the host. */
static const char *const inner_links[] = {"lo", "ve-*", "vb-*", "vz-*"};

static bool is_any(const struct net_address *address)
{
	struct net_address any = {.family = address->family};

	return net_address_equal(address, &any);
}

/* Translation can't carry these in or out; the listening proxy serves them. */
static bool is_for_proxy(const struct firewall_config *config, const struct net_address *bind)
{
	return net_prefix_contains(&v6_loopback, bind) ||
	       net_prefix_contains(&v6_link_local, bind) ||
	       (!config->translates_loopback && net_prefix_contains(&v4_loopback, bind));
}

static void add_match(struct firewall_rule *rule, size_t *count, struct firewall_match match)
{
	rule->matches[(*count)++] = match;
}

/* Bound to one address: that one. To all: any address of the host that can be translated. */
static void match_local(const struct firewall_config *config, const struct net_port *port,
			int family, struct firewall_rule *rule, size_t *count)
{
	struct firewall_match match = {.field = FIREWALL_DESTINATION, .is_not = true};

	if (!is_any(&port->bind)) {
		match.is_not = false;
		match.prefix = firewall_only(&port->bind);
		add_match(rule, count, match);
		return;
	}
	if (family == AF_INET6) {
		match.prefix = v6_loopback;
		add_match(rule, count, match);
		match.prefix = v6_link_local;
		add_match(rule, count, match);
	} else if (!config->translates_loopback) {
		match.prefix = v4_loopback;
		add_match(rule, count, match);
	}
	add_match(rule, count, (struct firewall_match){.field = FIREWALL_LOCAL});
}

static void add_port(struct firewall_rules *rules, const struct firewall_config *config,
		     enum firewall_chain chain, const struct net_port *port,
		     const struct net_address *target)
{
	struct firewall_rule rule = {
		.chain = chain,
		.verdict = FIREWALL_TRANSLATE,
		.target = *target,
		.port = *port,
		.matches = {{.field = FIREWALL_FAMILY, .number = (uint16_t)target->family},
			    {.field = FIREWALL_PROTOCOL, .number = (uint16_t)port->protocol},
			    {.field = FIREWALL_DESTINATION_PORTS,
			     .number = port->first,
			     .last = port->last}},
	};
	size_t count = 3;

	if (!net_address_is_set(target) || is_for_proxy(config, &port->bind) ||
	    (net_address_is_set(&port->bind) && port->bind.family != target->family))
		return;
	/* Nobody outside may reach a port that is bound to 127.0.0.1. The kernel drops such packets
	 * as martian, but only after this chain. */
	if (chain == FIREWALL_PREROUTING && net_prefix_contains(&v4_loopback, &port->bind))
		return;
	match_local(config, port, target->family, &rule, &count);
	firewall_rule_add(rules, &rule);
}

static void add_ports(struct firewall_rules *rules, const struct firewall_config *config,
		      enum firewall_chain chain)
{
	for (size_t i = 0; i < config->port_count; i++) {
		add_port(rules, config, chain, &config->ports[i], &config->target4);
		add_port(rules, config, chain, &config->ports[i], &config->target6);
	}
}

/*
 * The answer to a forwarded connection must come back through the host, which alone can undo the
 * translation: a machine would answer 127.0.0.1, its neighbour or itself directly. The incoming
 * interface is not matched: with br_netfilter there is none here.
 */
static void add_hairpin(struct firewall_rules *rules, const struct net_prefix *source,
			const struct net_address *target)
{
	if (!net_address_is_set(target) || source->address.family != target->family)
		return;
	FIREWALL_ADD(rules, FIREWALL_POSTROUTING, FIREWALL_MASQUERADE,
		     {.field = FIREWALL_FAMILY, .number = (uint16_t)target->family},
		     {.field = FIREWALL_SOURCE, .prefix = *source},
		     {.field = FIREWALL_DESTINATION, .prefix = firewall_only(target)},
		     {.field = FIREWALL_TRANSLATED});
}

static void add_masquerade(struct firewall_rules *rules, const struct net_prefix *subnet)
{
	struct firewall_rule rule = {
		.chain = FIREWALL_POSTROUTING,
		.verdict = FIREWALL_MASQUERADE,
		.matches = {{.field = FIREWALL_FAMILY, .number = (uint16_t)subnet->address.family},
			    {.field = FIREWALL_SOURCE, .prefix = *subnet}},
	};
	size_t count = 2;

	if (!net_address_is_set(&subnet->address))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(inner_links); i++)
		add_match(&rule, &count,
			  (struct firewall_match){.field = FIREWALL_LINK_OUT,
						  .is_not = true,
						  .link = inner_links[i]});
	firewall_rule_add(rules, &rule);
}

/* Who reaches the machine without the host: its subnet; where that is unknown, itself alone. */
static struct net_prefix neighbours(const struct net_prefix *subnet,
				    const struct net_address *target)
{
	return net_address_is_set(&subnet->address) ? *subnet : firewall_only(target);
}

static void add_postrouting(struct firewall_rules *rules, const struct firewall_config *config)
{
	struct net_prefix near4 = neighbours(&config->subnet4, &config->target4);
	struct net_prefix near6 = neighbours(&config->subnet6, &config->target6);

	if (config->masquerade) {
		add_masquerade(rules, &config->subnet4);
		add_masquerade(rules, &config->subnet6);
	}
	if (config->port_count == 0)
		return;
	add_hairpin(rules, &v4_loopback, &config->target4);
	add_hairpin(rules, &near4, &config->target4);
	add_hairpin(rules, &near6, &config->target6);
}

void firewall_add_nat(struct firewall_rules *rules, const struct firewall_config *config)
{
	add_ports(rules, config, FIREWALL_PREROUTING);
	add_ports(rules, config, FIREWALL_OUTPUT);
	add_postrouting(rules, config);
}
