/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads others' chains and rules from the kernel. Quiet. Supervisor's and caller's side. */
#include "firewall/ruleset.h"

#include <errno.h>
#include <stdio.h>

#include "kernel/nft.h"
#include "lib/str.h"

#define GROWTH 32
/* Other programs may change their rules while these are read. */
#define TRIES 8

static void drop_rules(struct others_chain *chain)
{
	for (size_t i = 0; i < chain->rule_count; i++)
		free(chain->rules[i].expressions);
	free(take_ptr(chain->rules));
	chain->rule_count = 0;
}

void firewall_ruleset_done(struct firewall_ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		drop_rules(&ruleset->chains[i]);
		free(ruleset->chains[i].table);
		free(ruleset->chains[i].name);
	}
	free(ruleset->chains);
	*ruleset = (struct firewall_ruleset){};
}

/* Room for one more, zeroed, at the end of an array that grows by GROWTH; NULL without memory. */
static void *add_row(void *array, size_t *count, size_t size)
{
	char **rows = array;
	char *grown = *rows;

	if (*count % GROWTH == 0) {
		grown = reallocarray(*rows, *count + GROWTH, size);
		if (!grown)
			return NULL;
		*rows = grown;
	}
	grown += *count * size;
	memset(grown, 0, size);
	(*count)++;
	return grown;
}

static int take_chain(void *context, uint8_t family, const struct nlattr *attributes, size_t size)
{
	struct firewall_ruleset *ruleset = context;
	const struct nlattr *of[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	struct others_chain *chain =
		add_row(&ruleset->chains, &ruleset->chain_count, sizeof(*chain));

	if (!chain)
		return -ENOMEM;
	nft_parse(attributes, size, of, ARRAY_SIZE(of));
	nft_parse_nested(of[NFTA_CHAIN_HOOK], hook, ARRAY_SIZE(hook));
	chain->family = family;
	chain->table = strdup(nft_text(of[NFTA_CHAIN_TABLE]));
	chain->name = strdup(nft_text(of[NFTA_CHAIN_NAME]));
	chain->policy = nft_u32(of[NFTA_CHAIN_POLICY]);
	chain->filters_forward =
		hook[NFTA_HOOK_HOOKNUM] && nft_u32(hook[NFTA_HOOK_HOOKNUM]) == NF_INET_FORWARD &&
		streq(nft_text(of[NFTA_CHAIN_TYPE]), "filter") &&
		(family == NFPROTO_IPV4 || family == NFPROTO_IPV6 || family == NFPROTO_INET);
	return chain->table && chain->name ? 0 : -ENOMEM;
}

/* iptables of Debian 12 keeps a comment as an extension, later ones where nft does. */
static void find_comment(const struct nlattr *expressions, char *ret, size_t size)
{
	const struct nlattr *each = NULL;

	while (ret[0] == '\0' && (each = nft_next(expressions, each))) {
		const struct nlattr *of[NFTA_EXPR_MAX + 1], *match[NFTA_MATCH_MAX + 1];
		size_t length;
		const char *text;

		nft_parse_nested(each, of, ARRAY_SIZE(of));
		if (!streq(nft_text(of[NFTA_EXPR_NAME]), "match"))
			continue;
		nft_parse_nested(of[NFTA_EXPR_DATA], match, ARRAY_SIZE(match));
		text = nft_data(match[NFTA_MATCH_INFO], &length);
		if (streq(nft_text(match[NFTA_MATCH_NAME]), "comment"))
			(void)snprintf(ret, size, "%.*s", (int)length, text);
	}
}

static struct nlattr *copy_nest(const struct nlattr *nest)
{
	static const struct nlattr empty = {.nla_len = NLA_HDRLEN};
	struct nlattr *copy;

	if (!nest)
		nest = &empty;
	copy = malloc(nest->nla_len);
	if (copy)
		memcpy(copy, nest, nest->nla_len);
	return copy;
}

static int take_rule(void *context, uint8_t family, const struct nlattr *attributes, size_t size)
{
	struct others_chain *chain = context;
	const struct nlattr *of[NFTA_RULE_MAX + 1];
	struct others_rule *rule = add_row(&chain->rules, &chain->rule_count, sizeof(*rule));

	if (!rule)
		return -ENOMEM;
	nft_parse(attributes, size, of, ARRAY_SIZE(of));
	rule->handle = nft_u64(of[NFTA_RULE_HANDLE]);
	rule->expressions = copy_nest(of[NFTA_RULE_EXPRESSIONS]);
	if (!rule->expressions)
		return -ENOMEM;
	nft_comment(of[NFTA_RULE_USERDATA], rule->comment, sizeof(rule->comment));
	find_comment(rule->expressions, rule->comment, sizeof(rule->comment));
	return 0;
}

int firewall_ruleset_load(int socket, struct firewall_ruleset *ret)
{
	static const struct nft_query all = {.family = NFPROTO_UNSPEC};
	struct firewall_ruleset ruleset = {.socket = socket};
	int r = -EINTR;

	for (int i = 0; r == -EINTR && i < TRIES; i++) {
		firewall_ruleset_done(&ruleset);
		ruleset.socket = socket;
		r = nft_list(socket, NFT_MSG_GETCHAIN, &all, take_chain, &ruleset);
	}
	if (r < 0)
		firewall_ruleset_done(&ruleset);
	else
		*ret = ruleset;
	return r;
}

int firewall_ruleset_load_rules(struct firewall_ruleset *ruleset, struct others_chain *chain)
{
	const struct nft_query query = {
		.family = chain->family, .table = chain->table, .chain = chain->name};
	int r = chain->is_loaded ? 0 : -EINTR;

	for (int i = 0; r == -EINTR && i < TRIES; i++) {
		drop_rules(chain);
		r = nft_list(ruleset->socket, NFT_MSG_GETRULE, &query, take_rule, chain);
	}
	chain->is_loaded = r == 0;
	return r;
}

struct others_chain *firewall_ruleset_find(const struct firewall_ruleset *ruleset, uint8_t family,
					   const char *table, const char *name)
{
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		struct others_chain *chain = &ruleset->chains[i];

		if (chain->family == family && streq(chain->table, table) &&
		    streq(chain->name, name))
			return chain;
	}
	return NULL;
}
