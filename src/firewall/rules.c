/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of a machine, collected from their makers. Pure. Supervisor's side. */
#include "firewall/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"

#define GROWTH 32

void firewall_rules_done(struct firewall_rules *rules)
{
	free(rules->list);
	*rules = (struct firewall_rules){};
}

void firewall_rule_add(struct firewall_rules *rules, const struct firewall_rule *rule)
{
	struct firewall_rule *grown;

	if (rules->error < 0)
		return;
	if (rules->count % GROWTH == 0) {
		grown = reallocarray(rules->list, rules->count + GROWTH, sizeof(*grown));
		if (!grown) {
			rules->error = -ENOMEM;
			return;
		}
		rules->list = grown;
	}
	rules->list[rules->count++] = *rule;
}

struct net_prefix firewall_only(const struct net_address *address)
{
	return (struct net_prefix){.address = *address,
				   .length = (uint8_t)(net_address_size(address) * 8)};
}

const struct firewall_match *firewall_next_match(const struct firewall_rule *rule,
						 const struct firewall_match *last)
{
	const struct firewall_match *next = last ? last + 1 : rule->matches;
	bool is_end = next == rule->matches + FIREWALL_MATCHES_MAX || next->field == FIREWALL_END;

	return is_end ? NULL : next;
}

/* What comes to the machine must be an answer, or have been forwarded to it: no more is opened. */
static void add_accepts(struct firewall_rules *rules, const struct firewall_config *config)
{
	static const struct {
		enum firewall_others_chain bit;
		enum firewall_chain chain;
	} rows[] = {
		{FIREWALL_OTHERS_FORWARD4, FIREWALL_FORWARD4},
		{FIREWALL_OTHERS_FORWARD6, FIREWALL_FORWARD6},
		{FIREWALL_OTHERS_DOCKER4, FIREWALL_DOCKER4},
		{FIREWALL_OTHERS_DOCKER6, FIREWALL_DOCKER6},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(config->accept_in & rows[i].bit))
			continue;
		FIREWALL_ADD(rules, rows[i].chain, FIREWALL_ACCEPT,
			     {.field = FIREWALL_XT_LINK_OUT, .link = config->route_link},
			     {.field = FIREWALL_XT_WANTED});
		FIREWALL_ADD(rules, rows[i].chain, FIREWALL_ACCEPT,
			     {.field = FIREWALL_XT_LINK_IN, .link = config->route_link});
	}
}

int firewall_rules_make(const struct firewall_config *config, struct firewall_rules *ret)
{
	struct firewall_rules rules = {};

	firewall_add_nat(&rules, config);
	if (config->link)
		firewall_add_ingress(&rules, config);
	add_accepts(&rules, config);
	if (rules.error < 0) {
		int r = rules.error;

		firewall_rules_done(&rules);
		return r;
	}
	*ret = rules;
	return 0;
}
