/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules as text, for `redd run --explain`. No side effects but the output. Either side. */
#include <arpa/inet.h>
#include <linux/if_ether.h>

#include "firewall/rules.h"
#include "lib/macro.h"

static const char *const chain_names[FIREWALL_CHAIN_COUNT] = {
	[FIREWALL_INGRESS] = "netdev ingress",	     [FIREWALL_PREROUTING] = "inet prerouting",
	[FIREWALL_OUTPUT] = "inet output",	     [FIREWALL_POSTROUTING] = "inet postrouting",
	[FIREWALL_FORWARD4] = "iptables FORWARD",    [FIREWALL_FORWARD6] = "ip6tables FORWARD",
	[FIREWALL_DOCKER4] = "iptables DOCKER-USER", [FIREWALL_DOCKER6] = "ip6tables DOCKER-USER",
};

static const char *const field_names[FIREWALL_FIELD_COUNT] = {
	[FIREWALL_FRAME_TYPE] = "ether type",
	[FIREWALL_VLAN_NUMBER] = "vlan id",
	[FIREWALL_FRAME_SOURCE] = "ether saddr",
	[FIREWALL_ETHERTYPE] = "meta protocol",
	[FIREWALL_ARP_HARDWARE] = "arp saddr ether",
	[FIREWALL_ARP_ADDRESS] = "arp saddr ip",
	[FIREWALL_FAMILY] = "meta nfproto",
	[FIREWALL_PROTOCOL] = "meta l4proto",
	[FIREWALL_ICMP_TYPE] = "icmp type",
	[FIREWALL_SOURCE] = "saddr",
	[FIREWALL_DESTINATION] = "daddr",
	[FIREWALL_SOURCE_PORTS] = "th sport",
	[FIREWALL_DESTINATION_PORTS] = "th dport",
	[FIREWALL_LINK_OUT] = "oifname",
	[FIREWALL_LOCAL] = "fib daddr type",
	[FIREWALL_TRANSLATED] = "ct status",
	[FIREWALL_XT_LINK_IN] = "iifname",
	[FIREWALL_XT_LINK_OUT] = "oifname",
	[FIREWALL_XT_WANTED] = "ct state",
};

/* Numbers that nft(8) has a word for. */
static const struct {
	enum firewall_field field;
	uint16_t number;
	const char *word;
} words[] = {
	{FIREWALL_ETHERTYPE, ETH_P_IP, "ip"},	   {FIREWALL_ETHERTYPE, ETH_P_IPV6, "ip6"},
	{FIREWALL_ETHERTYPE, ETH_P_ARP, "arp"},	   {FIREWALL_FAMILY, AF_INET, "ipv4"},
	{FIREWALL_FAMILY, AF_INET6, "ipv6"},	   {FIREWALL_PROTOCOL, IPPROTO_TCP, "tcp"},
	{FIREWALL_PROTOCOL, IPPROTO_UDP, "udp"},   {FIREWALL_PROTOCOL, IPPROTO_SCTP, "sctp"},
	{FIREWALL_PROTOCOL, IPPROTO_ICMP, "icmp"}, {FIREWALL_PROTOCOL, IPPROTO_ICMPV6, "icmpv6"},
};

static void print_number(const struct firewall_match *match, FILE *out)
{
	bool is_type = match->field == FIREWALL_FRAME_TYPE || match->field == FIREWALL_ETHERTYPE;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].field == match->field && words[i].number == match->number) {
			fputs(words[i].word, out);
			return;
		}
	fprintf(out, is_type ? "0x%x" : "%u", match->number);
}

static void print_range(unsigned first, unsigned last, FILE *out)
{
	fprintf(out, "%u", first);
	if (last != first)
		fprintf(out, "-%u", last);
}

static void print_mac(const uint8_t mac[ETH_ALEN], FILE *out)
{
	for (size_t i = 0; i < ETH_ALEN; i++)
		fprintf(out, "%s%02x", i > 0 ? ":" : "", mac[i]);
}

static void print_prefix(const struct net_prefix *prefix, FILE *out)
{
	struct net_prefix network = net_prefix_network(prefix);
	char text[NET_ADDRESS_TEXT];

	fputs(network.length == net_address_size(&network.address) * 8
		      ? net_address_format(&network.address, text)
		      : net_prefix_format(&network, text),
	      out);
}

static void print_value(const struct firewall_match *match, FILE *out)
{
	switch (match->field) {
	case FIREWALL_FRAME_SOURCE:
	case FIREWALL_ARP_HARDWARE:
		print_mac(match->mac, out);
		break;
	case FIREWALL_ARP_ADDRESS:
	case FIREWALL_SOURCE:
	case FIREWALL_DESTINATION:
		print_prefix(&match->prefix, out);
		break;
	case FIREWALL_SOURCE_PORTS:
	case FIREWALL_DESTINATION_PORTS:
		print_range(match->number, match->last, out);
		break;
	case FIREWALL_LINK_OUT:
	case FIREWALL_XT_LINK_IN:
	case FIREWALL_XT_LINK_OUT:
		fprintf(out, "\"%s\"", match->link);
		break;
	case FIREWALL_LOCAL:
		fputs("local", out);
		break;
	case FIREWALL_TRANSLATED:
		fputs("dnat", out);
		break;
	case FIREWALL_XT_WANTED:
		fputs("established,related,dnat", out);
		break;
	default:
		print_number(match, out);
	}
}

static void print_match(const struct firewall_match *match, FILE *out)
{
	if (match->field == FIREWALL_SOURCE || match->field == FIREWALL_DESTINATION)
		fputs(match->prefix.address.family == AF_INET ? " ip" : " ip6", out);
	fprintf(out, " %s %s", field_names[match->field], match->is_not ? "!= " : "");
	print_value(match, out);
}

static void print_verdict(const struct firewall_rule *rule, FILE *out)
{
	static const char *const verdicts[] = {
		[FIREWALL_DROP] = "drop",
		[FIREWALL_ACCEPT] = "accept",
		[FIREWALL_MASQUERADE] = "masquerade",
		[FIREWALL_TRANSLATE] = "dnat to",
	};
	char text[NET_ADDRESS_TEXT];
	const struct net_port *port = &rule->port;

	fprintf(out, " %s", verdicts[rule->verdict]);
	if (rule->verdict != FIREWALL_TRANSLATE)
		return;
	(void)net_address_format(&rule->target, text);
	fprintf(out, rule->target.family == AF_INET ? " %s:" : " [%s]:", text);
	print_range(port->guest_first, (unsigned)port->guest_first + port->last - port->first, out);
}

static void print_rule(const struct firewall_rule *rule, FILE *out)
{
	const struct firewall_match *match = NULL;

	fprintf(out, "%s:", chain_names[rule->chain]);
	while ((match = firewall_next_match(rule, match)))
		print_match(match, out);
	print_verdict(rule, out);
}

/* A port that no rule forwards. */
static void print_port_without_rule(const struct firewall_config *config,
				    const struct net_port *port, FILE *out)
{
	bool has_target =
		net_address_is_set(&config->target4) || net_address_is_set(&config->target6);
	char text[NET_PORT_TEXT];

	fprintf(out, "  port %s: %s\n", net_port_format(port, text),
		has_target ? "by the supervisor's proxy"
			   : "forwarded when the machine's address is known");
}

static bool has_rule(const struct firewall_rules *rules, const struct net_port *port)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->list[i].verdict == FIREWALL_TRANSLATE &&
		    net_port_equal(&rules->list[i].port, port))
			return true;
	return false;
}

int firewall_print(const struct firewall_config *config, FILE *out)
{
	autorules struct firewall_rules rules = {};
	int r = firewall_rules_make(config, &rules);

	if (r < 0)
		return r;
	for (size_t i = 0; i < rules.count; i++) {
		fputs("  ", out);
		print_rule(&rules.list[i], out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < config->port_count; i++)
		if (!has_rule(&rules, &config->ports[i]))
			print_port_without_rule(config, &config->ports[i], out);
	return 0;
}
