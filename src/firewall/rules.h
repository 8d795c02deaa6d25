/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All packet-filter rules of one machine as a value: made from its configuration alone, then sent
 * to the kernel (send.c) or printed (print.c). Pure. Supervisor's side.
 */
#pragma once

#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firewall/firewall.h"

enum firewall_chain {
	FIREWALL_INGRESS, /* of the machine's link, in the netdev table */
	/* In the inet table: */
	FIREWALL_PREROUTING,
	FIREWALL_OUTPUT,
	FIREWALL_POSTROUTING,
	/* At the head of iptables' chains: */
	FIREWALL_FORWARD4,
	FIREWALL_FORWARD6,
	FIREWALL_DOCKER4,
	FIREWALL_DOCKER6,
	FIREWALL_CHAIN_COUNT,
};

/* What a condition looks at, and, in parentheses, the member that it compares with. */
enum firewall_field {
	FIREWALL_END,		    /* of the list of conditions */
	FIREWALL_FRAME_TYPE,	    /* as the frame has it: also a VLAN tag (number) */
	FIREWALL_VLAN_NUMBER,	    /* in the frame's second tag (number) */
	FIREWALL_FRAME_SOURCE,	    /* hardware address (mac) */
	FIREWALL_ETHERTYPE,	    /* of the packet (number) */
	FIREWALL_ARP_HARDWARE,	    /* of the sender (mac) */
	FIREWALL_ARP_ADDRESS,	    /* of the sender, IPv4 (prefix) */
	FIREWALL_FAMILY,	    /* in chains for both: NFPROTO_IPV4, _IPV6 (number) */
	FIREWALL_PROTOCOL,	    /* IPPROTO_… (number) */
	FIREWALL_ICMP_TYPE,	    /* of either ICMP; the protocol comes first (number) */
	FIREWALL_SOURCE,	    /* the family comes first (prefix) */
	FIREWALL_DESTINATION,	    /* the same (prefix) */
	FIREWALL_SOURCE_PORTS,	    /* the protocol comes first (number to last) */
	FIREWALL_DESTINATION_PORTS, /* the same */
	FIREWALL_LINK_OUT,	    /* interface; a "*" at its end stands for any rest (link) */
	FIREWALL_LOCAL,		    /* the destination is an address of the host */
	FIREWALL_TRANSLATED,	    /* the connection's destination has been translated */
	/* Both as `iptables` writes them, so that it can list the chain: */
	FIREWALL_XT_LINK_IN,
	FIREWALL_XT_LINK_OUT,
	FIREWALL_XT_WANTED, /* an answer, or translated */
	FIREWALL_FIELD_COUNT,
};

struct firewall_match {
	enum firewall_field field;
	bool is_not;
	uint16_t number, last;
	struct net_prefix prefix;
	uint8_t mac[ETH_ALEN];
	const char *link; /* borrowed from the configuration */
};

enum firewall_verdict {
	FIREWALL_DROP,
	FIREWALL_ACCEPT,
	FIREWALL_MASQUERADE,
	FIREWALL_TRANSLATE, /* to `target`, and `port` to what it leads to */
};

#define FIREWALL_MATCHES_MAX 8

struct firewall_rule {
	enum firewall_chain chain;
	struct firewall_match matches[FIREWALL_MATCHES_MAX]; /* up to FIREWALL_END, or all */
	enum firewall_verdict verdict;
	struct net_address target;
	struct net_port port;
};

/* In the order in which each chain has them. Strings belong to the configuration. */
struct firewall_rules {
	struct firewall_rule *list;
	size_t count;
	int error; /* sticky -ENOMEM */
};

/* The one place that says which rules a machine has. 0 or -ENOMEM. */
int firewall_rules_make(const struct firewall_config *config, struct firewall_rules *ret);
void firewall_rules_done(struct firewall_rules *rules);
#define autorules autocall(firewall_rules_done)

/* For ingress.c and nat.c: appends a copy. */
void firewall_rule_add(struct firewall_rules *rules, const struct firewall_rule *rule);
/* FIREWALL_ADD(rules, chain, verdict, {.field = …}, …) */
#define FIREWALL_ADD(rules, of_chain, of_verdict, ...)                                             \
	firewall_rule_add((rules), &(struct firewall_rule){.chain = (of_chain),                    \
							   .verdict = (of_verdict),                \
							   .matches = {__VA_ARGS__}})
void firewall_add_ingress(struct firewall_rules *rules, const struct firewall_config *config);
void firewall_add_nat(struct firewall_rules *rules, const struct firewall_config *config);

/* The prefix that holds this address alone. */
struct net_prefix firewall_only(const struct net_address *address);

/* The next condition, or the first for `last` NULL; NULL at the end. */
const struct firewall_match *firewall_next_match(const struct firewall_rule *rule,
						 const struct firewall_match *last);
