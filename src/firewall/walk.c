/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a filter does to a packet that doesn't exist. Quiet. Supervisor's and caller's side. */
#include "firewall/walk.h"

#include <net/if.h>

#include "kernel/nft.h"
#include "lib/macro.h"
#include "lib/str.h"

/* After <netinet/in.h>, which has the same definitions. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

#define SLOTS 16 /* of four bytes; a register of 16 bytes is four of them */
#define VALUE_MAX 16
#define NO_VERDICT INT32_MIN
#define STATE_BIT(info) (1U << ((info) + 1)) /* as `ct state` has it */

enum answer { NO, MAYBE, YES };

struct value {
	enum answer is_known; /* NO: taken not to match, MAYBE: in doubt for the packet */
	bool is_not;	      /* MAYBE: anything but what `data` says */
	uint8_t data[VALUE_MAX];
};

struct walk {
	struct firewall_ruleset *ruleset;
	const struct others_chain *base;
	const char *link;
	enum firewall_packet packet;
	uint8_t nfproto;
	struct value slots[SLOTS];
	/* of the rule being looked at */
	int32_t verdict;
	char target[NFT_CHAIN_MAXNAMELEN];
};

static struct value known(const void *data, size_t size)
{
	struct value value = {.is_known = YES};

	memcpy(value.data, data, MIN(size, sizeof(value.data)));
	return value;
}

static struct value known_u32(uint32_t number)
{
	return known(&number, sizeof(number));
}

static struct value *slot(struct walk *walk, const struct nlattr *reg)
{
	uint32_t number = nft_u32(reg);
	uint32_t at = number >= NFT_REG32_00 ? number - NFT_REG32_00 : (number - 1) * 4;

	return &walk->slots[at < SLOTS ? at : SLOTS - 1];
}

/* On the side of the link it is the link, on the other another. */
static struct value of_link(const struct walk *walk, bool is_input, const void *data, size_t size)
{
	struct value value = known(data, size);

	if (is_input != (walk->packet == FIREWALL_CALL)) {
		value.is_known = MAYBE;
		value.is_not = true;
	}
	return value;
}

static struct value link_name(const struct walk *walk, bool is_input)
{
	char name[VALUE_MAX] = {};

	(void)strncpy(name, walk->link, IFNAMSIZ - 1);
	return of_link(walk, is_input, name, sizeof(name));
}

static struct value link_index(const struct walk *walk, bool is_input)
{
	unsigned index = if_nametoindex(walk->link);

	return of_link(walk, is_input, &index, sizeof(index));
}

static enum answer see_meta(struct walk *walk, const struct nlattr *const of[])
{
	static const uint8_t tcp = IPPROTO_TCP;
	struct value *value = slot(walk, of[NFTA_META_DREG]);

	*value = (struct value){.is_known = NO};
	switch (nft_u32(of[NFTA_META_KEY])) {
	case NFT_META_IIFNAME:
		*value = link_name(walk, true);
		break;
	case NFT_META_OIFNAME:
		*value = link_name(walk, false);
		break;
	case NFT_META_IIF:
		*value = link_index(walk, true);
		break;
	case NFT_META_OIF:
		*value = link_index(walk, false);
		break;
	case NFT_META_L4PROTO:
		*value = known(&tcp, sizeof(tcp));
		break;
	case NFT_META_NFPROTO:
		*value = known(&walk->nfproto, sizeof(walk->nfproto));
		break;
	}
	return YES;
}

static unsigned info_of(const struct walk *walk)
{
	return walk->packet == FIREWALL_ANSWER ? IP_CT_ESTABLISHED : IP_CT_NEW;
}

static enum answer see_ct(struct walk *walk, const struct nlattr *const of[])
{
	uint32_t key = nft_u32(of[NFTA_CT_KEY]);
	struct value *value = slot(walk, of[NFTA_CT_DREG]);

	*value = (struct value){.is_known = NO};
	if (key == NFT_CT_STATE)
		*value = known_u32(STATE_BIT(info_of(walk)));
	if (key == NFT_CT_STATUS)
		*value = known_u32(walk->packet == FIREWALL_PORT ? IPS_DST_NAT : 0);
	return YES;
}

/* Of the headers, addresses are what rules for networks ask for; those we don't know. */
static enum answer see_payload(struct walk *walk, const struct nlattr *const of[])
{
	bool is_address = nft_u32(of[NFTA_PAYLOAD_BASE]) == NFT_PAYLOAD_NETWORK_HEADER &&
			  nft_u32(of[NFTA_PAYLOAD_OFFSET]) >= 8;

	*slot(walk, of[NFTA_PAYLOAD_DREG]) = (struct value){.is_known = is_address ? MAYBE : NO};
	return YES;
}

static const void *value_of(const struct nlattr *attribute, size_t *ret_size)
{
	const struct nlattr *data[NFTA_DATA_MAX + 1];
	const void *bytes;

	nft_parse_nested(attribute, data, ARRAY_SIZE(data));
	bytes = nft_data(data[NFTA_DATA_VALUE], ret_size);
	*ret_size = MIN(*ret_size, (size_t)VALUE_MAX);
	return bytes;
}

static enum answer see_bitwise(struct walk *walk, const struct nlattr *const of[])
{
	struct value value = *slot(walk, of[NFTA_BITWISE_SREG]);
	size_t mask_size, xor_size;
	const uint8_t *mask = value_of(of[NFTA_BITWISE_MASK], &mask_size);
	const uint8_t * xor = value_of(of[NFTA_BITWISE_XOR], &xor_size);

	if (value.is_known == YES && mask_size != xor_size)
		value.is_known = NO;
	for (size_t i = 0; value.is_known == YES && i < mask_size; i++)
		value.data[i] = (uint8_t)((value.data[i] & mask[i]) ^ xor[i]);
	*slot(walk, of[NFTA_BITWISE_DREG]) = value;
	return YES;
}

static enum answer compare(const struct value *value, uint32_t op, const struct nlattr *with)
{
	size_t size;
	const void *data = value_of(with, &size);
	int order;

	if (value->is_known == NO || (value->is_known == MAYBE && !value->is_not))
		return value->is_known;
	order = size > 0 ? memcmp(value->data, data, size) : 0;
	if (value->is_not)
		return order == 0 && op == NFT_CMP_EQ ? NO : MAYBE;
	switch (op) {
	case NFT_CMP_EQ:
		return order == 0 ? YES : NO;
	case NFT_CMP_NEQ:
		return order != 0 ? YES : NO;
	case NFT_CMP_LT:
		return order < 0 ? YES : NO;
	case NFT_CMP_LTE:
		return order <= 0 ? YES : NO;
	case NFT_CMP_GT:
		return order > 0 ? YES : NO;
	case NFT_CMP_GTE:
		return order >= 0 ? YES : NO;
	}
	return MAYBE;
}

static enum answer see_cmp(struct walk *walk, const struct nlattr *const of[])
{
	return compare(slot(walk, of[NFTA_CMP_SREG]), nft_u32(of[NFTA_CMP_OP]), of[NFTA_CMP_DATA]);
}

static enum answer see_range(struct walk *walk, const struct nlattr *const of[])
{
	return slot(walk, of[NFTA_RANGE_SREG])->is_known == NO ? NO : MAYBE;
}

static void take_verdict(struct walk *walk, const struct nlattr *data)
{
	const struct nlattr *of[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];

	nft_parse_nested(data, of, ARRAY_SIZE(of));
	nft_parse_nested(of[NFTA_DATA_VERDICT], verdict, ARRAY_SIZE(verdict));
	if (!verdict[NFTA_VERDICT_CODE])
		return;
	walk->verdict = (int32_t)nft_u32(verdict[NFTA_VERDICT_CODE]);
	(void)strncpy(walk->target, nft_text(verdict[NFTA_VERDICT_CHAIN]),
		      sizeof(walk->target) - 1);
}

static enum answer see_immediate(struct walk *walk, const struct nlattr *const of[])
{
	size_t size;
	const void *data = value_of(of[NFTA_IMMEDIATE_DATA], &size);

	if (nft_u32(of[NFTA_IMMEDIATE_DREG]) == NFT_REG_VERDICT)
		take_verdict(walk, of[NFTA_IMMEDIATE_DATA]);
	else
		*slot(walk, of[NFTA_IMMEDIATE_DREG]) = known(data, size);
	return YES;
}

struct search {
	struct walk *walk;
	struct value key;
	bool takes_verdict, has_ranges;
	enum answer found;
};

static void look_at_element(struct search *search, const struct nlattr *element)
{
	const struct nlattr *of[NFTA_SET_ELEM_MAX + 1];
	size_t size;
	const void *key;

	nft_parse_nested(element, of, ARRAY_SIZE(of));
	key = value_of(of[NFTA_SET_ELEM_KEY], &size);
	if (of[NFTA_SET_ELEM_KEY_END] ||
	    (of[NFTA_SET_ELEM_FLAGS] &&
	     nft_u32(of[NFTA_SET_ELEM_FLAGS]) & NFT_SET_ELEM_INTERVAL_END))
		search->has_ranges = true;
	if (size == 0 || memcmp(key, search->key.data, size) != 0)
		return;
	search->found = YES;
	if (search->takes_verdict)
		take_verdict(search->walk, of[NFTA_SET_ELEM_DATA]);
}

static int look_at_elements(void *context, uint8_t family, const struct nlattr *attributes,
			    size_t size)
{
	const struct nlattr *of[NFTA_SET_ELEM_LIST_MAX + 1], *each = NULL;

	nft_parse(attributes, size, of, ARRAY_SIZE(of));
	while ((each = nft_next(of[NFTA_SET_ELEM_LIST_ELEMENTS], each)))
		look_at_element(context, each);
	return 0;
}

/* In a set or map of others; one with ranges ("eth*") is not understood: MAYBE. */
static enum answer see_lookup(struct walk *walk, const struct nlattr *const of[])
{
	struct search search = {
		.walk = walk,
		.key = *slot(walk, of[NFTA_LOOKUP_SREG]),
		.takes_verdict =
			of[NFTA_LOOKUP_DREG] && nft_u32(of[NFTA_LOOKUP_DREG]) == NFT_REG_VERDICT,
	};
	struct nft_query query = {.family = walk->base->family,
				  .table = walk->base->table,
				  .set = nft_text(of[NFTA_LOOKUP_SET])};
	bool is_inverted =
		of[NFTA_LOOKUP_FLAGS] && nft_u32(of[NFTA_LOOKUP_FLAGS]) & NFT_LOOKUP_F_INV;

	if (of[NFTA_LOOKUP_DREG] && !search.takes_verdict)
		*slot(walk, of[NFTA_LOOKUP_DREG]) = (struct value){.is_known = NO};
	if (search.key.is_known != YES)
		return search.key.is_known;
	if (nft_list(walk->ruleset->socket, NFT_MSG_GETSETELEM, &query, look_at_elements, &search) <
		    0 ||
	    search.has_ranges)
		return MAYBE;
	return (search.found == YES) != is_inverted ? YES : NO;
}

static enum answer match_conntrack(const struct walk *walk, const struct nlattr *info)
{
	size_t size;
	const void *data = nft_data(info, &size);
	struct xt_conntrack_mtinfo3 match;
	unsigned states = XT_CONNTRACK_STATE_BIT(info_of(walk));

	if (size < sizeof(match))
		return NO;
	memcpy(&match, data, sizeof(match));
	if (match.match_flags != XT_CONNTRACK_STATE)
		return NO;
	if (walk->packet == FIREWALL_PORT)
		states |= XT_CONNTRACK_STATE_DNAT;
	return !(match.state_mask & states) == !(match.invert_flags & XT_CONNTRACK_STATE) ? NO
											  : YES;
}

static enum answer see_match(struct walk *walk, const struct nlattr *const of[])
{
	const char *name = nft_text(of[NFTA_MATCH_NAME]);

	if (streq(name, "conntrack") && nft_u32(of[NFTA_MATCH_REV]) >= 3)
		return match_conntrack(walk, of[NFTA_MATCH_INFO]);
	return streq(name, "comment") ? YES : NO;
}

static enum answer see_target(struct walk *walk, const struct nlattr *const of[])
{
	if (streq(nft_text(of[NFTA_TARGET_NAME]), "REJECT"))
		walk->verdict = NF_DROP;
	return YES;
}

static enum answer see_reject(struct walk *walk, const struct nlattr *const of[])
{
	walk->verdict = NF_DROP;
	return YES;
}

static enum answer see_nothing(struct walk *walk, const struct nlattr *const of[])
{
	return YES;
}

static enum answer see_doubt(struct walk *walk, const struct nlattr *const of[])
{
	return MAYBE;
}

#define ATTRIBUTES_MAX 16
static const struct {
	const char *name;
	enum answer (*see)(struct walk *walk, const struct nlattr *const of[]);
} expressions[] = {
	{"meta", see_meta},
	{"ct", see_ct},
	{"payload", see_payload},
	{"bitwise", see_bitwise},
	{"cmp", see_cmp},
	{"range", see_range},
	{"lookup", see_lookup},
	{"immediate", see_immediate},
	{"match", see_match},
	{"target", see_target},
	{"reject", see_reject},
	{"counter", see_nothing},
	{"log", see_nothing},
	{"last", see_nothing},
	{"flow_offload", see_nothing},
	{"limit", see_doubt},
	{"quota", see_doubt},
};

static enum answer see_expression(struct walk *walk, const struct nlattr *expression)
{
	const struct nlattr *of[NFTA_EXPR_MAX + 1], *data[ATTRIBUTES_MAX];

	nft_parse_nested(expression, of, ARRAY_SIZE(of));
	nft_parse_nested(of[NFTA_EXPR_DATA], data, ARRAY_SIZE(data));
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (streq(expressions[i].name, nft_text(of[NFTA_EXPR_NAME])))
			return expressions[i].see(walk, data);
	return NO;
}

/* Whether the rule applies; its verdict is in the walk then. */
static enum answer see_rule(struct walk *walk, const struct others_rule *rule)
{
	const struct nlattr *each = NULL;
	enum answer answer = YES;

	memset(walk->slots, 0, sizeof(walk->slots));
	memset(walk->target, 0, sizeof(walk->target));
	walk->verdict = NO_VERDICT;
	while (answer != NO && (each = nft_next(rule->expressions, each)))
		answer = MIN(answer, see_expression(walk, each));
	return answer;
}

static int32_t walk_chain(struct walk *walk, const char *chain);

/* NF_ACCEPT or NF_DROP, NFT_RETURN to leave the chain, NFT_CONTINUE for the next rule. */
static int32_t apply(struct walk *walk, enum answer answer)
{
	char target[NFT_CHAIN_MAXNAMELEN];
	int32_t verdict = walk->verdict, inner = verdict;

	if (answer == NO || verdict == NO_VERDICT)
		return NFT_CONTINUE;
	if (verdict == NFT_JUMP || verdict == NFT_GOTO) {
		memcpy(target, walk->target, sizeof(target));
		inner = walk_chain(walk, target);
		if (inner == NFT_RETURN)
			inner = verdict == NFT_GOTO ? NFT_RETURN : NFT_CONTINUE;
	}
	if (answer == MAYBE && inner != NF_ACCEPT)
		return NFT_CONTINUE;
	return (inner & NF_VERDICT_MASK) == NF_QUEUE ? NF_ACCEPT : inner;
}

/*
 * NF_ACCEPT, NF_DROP, or NFT_RETURN at the chain's end. That depends on the packet alone, so each
 * chain is walked once, however many rules jump to it.
 */
static int32_t walk_chain(struct walk *walk, const char *name)
{
	struct others_chain *chain =
		firewall_ruleset_find(walk->ruleset, walk->base->family, walk->base->table, name);
	int32_t verdict = NFT_CONTINUE;

	/* Removed meanwhile, or not readable: in doubt for the packet. */
	if (!chain || firewall_ruleset_load_rules(walk->ruleset, chain) < 0)
		return NF_ACCEPT;
	if (chain->is_walked)
		return chain->verdict;
	/* Chains that were read at different moments could jump to each other in a circle. */
	chain->is_walked = true;
	chain->verdict = NF_ACCEPT;
	for (size_t i = 0; i < chain->rule_count && verdict == NFT_CONTINUE; i++)
		if (!str_after_prefix(chain->rules[i].comment, FIREWALL_MARK))
			verdict = apply(walk, see_rule(walk, &chain->rules[i]));
	chain->verdict = verdict == NFT_CONTINUE ? NFT_RETURN : verdict;
	return chain->verdict;
}

enum firewall_fate firewall_walk(struct firewall_ruleset *ruleset, struct others_chain *base,
				 const char *link, enum firewall_packet packet, uint8_t nfproto)
{
	struct walk walk = {.ruleset = ruleset,
			    .base = base,
			    .link = link,
			    .packet = packet,
			    .nfproto = nfproto};
	int32_t verdict;

	if (base->family != NFPROTO_INET && base->family != nfproto)
		return FIREWALL_PASSES;
	for (size_t i = 0; i < ruleset->chain_count; i++)
		ruleset->chains[i].is_walked = false;
	verdict = walk_chain(&walk, base->name);
	if (verdict == NF_DROP)
		return FIREWALL_DROPPED_BY_RULE;
	if (verdict == NFT_RETURN && base->policy == NF_DROP)
		return FIREWALL_DROPPED_BY_POLICY;
	return FIREWALL_PASSES;
}
