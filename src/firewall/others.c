/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of others that drop what is forwarded: one of ours where iptables-nft's tables drop it, a
 * name and a command for the rest. Must never touch a rule that isn't marked as ours. Quiet.
 * Supervisor's and caller's side.
 */
#include <errno.h>

#include "firewall/firewall.h"
#include "firewall/legacy.h"
#include "firewall/ruleset.h"
#include "firewall/walk.h"
#include "kernel/nft.h"
#include "lib/str.h"

/* After <netinet/in.h>, which has the same definitions. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

#define MARK "redd:" /* of our rules, followed by the machine's name */
#define IPTABLES_TABLE "filter"

static const char *const iptables_chains[] = {"FORWARD", "DOCKER-USER"};
static const uint8_t nfprotos[] = {NFPROTO_IPV4, NFPROTO_IPV6};
/* The last concerns machines with ports only. */
static const enum firewall_way ways[] = {FIREWALL_CALL, FIREWALL_ANSWER, FIREWALL_PORT};

void firewall_blocker_done(struct firewall_blocker *blocker)
{
	free(take_ptr(blocker->what));
	free(take_ptr(blocker->mend));
}

/* The worst of all that the machine needs, in those families that the chain sees. */
static enum firewall_fate fate_of(const struct firewall_ruleset *ruleset,
				  const struct firewall_chain *chain, const char *link,
				  bool has_ports)
{
	enum firewall_fate fate = FIREWALL_PASSES;
	size_t way_count = ARRAY_SIZE(ways) - !has_ports;

	for (size_t i = 0; i < ARRAY_SIZE(nfprotos) && fate == FIREWALL_PASSES; i++)
		for (size_t j = 0; j < way_count && fate == FIREWALL_PASSES; j++)
			fate = firewall_walk(ruleset, chain, link, ways[j], nfprotos[i]);
	return fate;
}

/* As `iptables -i LINK`, `-o LINK` makes it, so that iptables can still list the table. */
static void match_link(struct nft_batch *batch, uint32_t key, const char *link)
{
	nft_meta(batch, key, NFT_REG_1);
	nft_cmp(batch, NFT_REG_1, NFT_CMP_EQ, link, (uint32_t)strlen(link) + 1);
}

/* What comes to the machine must be an answer, or have been forwarded to it: no more is opened. */
static void match_wanted(struct nft_batch *batch)
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

static void add_accept(struct nft_batch *batch, const struct nft_chain *chain, const char *comment,
		       const char *link, uint32_t key)
{
	nft_begin_rule(batch, chain, false, comment);
	match_link(batch, key, link);
	if (key == NFT_META_OIFNAME)
		match_wanted(batch);
	nft_counter(batch);
	nft_verdict(batch, NF_ACCEPT);
	nft_end_rule(batch);
}

/* Only where it helps: an administrator's rules on a chain that lets the machine pass stay first.
 */
static int open_iptables(int socket, const struct firewall_ruleset *ruleset, uint8_t family,
			 const char *comment, const char *link)
{
	const struct firewall_chain *forward =
		firewall_ruleset_find(ruleset, family, IPTABLES_TABLE, "FORWARD");
	struct nft_batch batch = {};
	int refused;

	if (!forward || !forward->filters_forward ||
	    fate_of(ruleset, forward, link, true) == FIREWALL_PASSES)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(iptables_chains); i++) {
		struct nft_chain chain = {
			.family = family, .table = IPTABLES_TABLE, .name = iptables_chains[i]};

		if (!firewall_ruleset_find(ruleset, family, chain.table, chain.name))
			continue;
		add_accept(&batch, &chain, comment, link, NFT_META_OIFNAME);
		add_accept(&batch, &chain, comment, link, NFT_META_IIFNAME);
	}
	return nft_batch_send(socket, &batch, &refused);
}

/* A batch each: one that somebody else has removed meanwhile must not keep the others. */
static void remove_rule(int socket, const struct firewall_rule *rule)
{
	struct nft_chain chain = {
		.family = rule->family, .table = rule->table, .name = rule->chain};
	struct nft_batch batch = {};
	int refused;

	nft_delete_rule(&batch, &chain, rule->handle);
	(void)nft_batch_send(socket, &batch, &refused);
}

/* Those of one machine, or those of all that don't live. The number of them. */
static int remove_rules(int socket, const struct firewall_ruleset *ruleset, const char *machine,
			bool (*is_alive)(const char *machine))
{
	int count = 0;

	for (size_t i = 0; i < ruleset->rule_count; i++) {
		const struct firewall_rule *rule = &ruleset->rules[i];
		const char *name = str_after_prefix(rule->comment, MARK);

		if (!name || !streq(rule->table, IPTABLES_TABLE) ||
		    (machine ? !streq(name, machine) : is_alive(name)))
			continue;
		remove_rule(socket, rule);
		count++;
	}
	return count;
}

int firewall_open_others(const char *machine, const char *link)
{
	autoruleset struct firewall_ruleset ruleset = {};
	autofree char *comment = str_printf(MARK "%s", machine);
	autoclose int socket = nft_open();
	int r = socket;

	if (!comment)
		return -ENOMEM;
	if (socket >= 0)
		r = firewall_ruleset_load(socket, &ruleset);
	/* What a crash left under this name would seem to be enough, and is about to be removed. */
	if (r == 0 && remove_rules(socket, &ruleset, machine, NULL) > 0) {
		firewall_ruleset_done(&ruleset);
		r = firewall_ruleset_load(socket, &ruleset);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nfprotos) && r >= 0; i++)
		r = open_iptables(socket, &ruleset, nfprotos[i], comment, link);
	return r < 0 ? r : 0;
}

static int remove_ours(const char *machine, bool (*is_alive)(const char *machine))
{
	autoruleset struct firewall_ruleset ruleset = {};
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : firewall_ruleset_load(socket, &ruleset);

	if (r == 0)
		(void)remove_rules(socket, &ruleset, machine, is_alive);
	return r;
}

int firewall_close_others(const char *machine)
{
	return remove_ours(machine, NULL);
}

void firewall_clean_others(bool (*is_alive)(const char *machine))
{
	(void)remove_ours(NULL, is_alive);
}

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
}

static bool is_iptables(const struct firewall_chain *chain)
{
	return chain->family != NFPROTO_INET && streq(chain->table, IPTABLES_TABLE) &&
	       streq(chain->name, "FORWARD");
}

static char *mend_iptables(const char *program, const char *link)
{
	return str_printf("%s -I FORWARD -i %s -j ACCEPT && %s -I FORWARD -o %s -j ACCEPT", program,
			  link, program, link);
}

static char *mend_nft(const struct firewall_chain *chain, const char *link)
{
	const char *family = family_name(chain->family);

	return str_printf("nft 'insert rule %s %s %s iifname \"%s\" accept; "
			  "insert rule %s %s %s oifname \"%s\" accept'",
			  family, chain->table, chain->name, link, family, chain->table,
			  chain->name, link);
}

static int describe(const struct firewall_chain *chain, enum firewall_fate fate, const char *link,
		    struct firewall_blocker *ret)
{
	if (chain->family == NFPROTO_INET && streq(chain->table, "firewalld")) {
		ret->what = strdup("firewalld");
		ret->mend = str_printf("firewall-cmd --zone=trusted --change-interface=%s", link);
	} else {
		ret->what = str_printf("chain %s of table %s %s (%s)", chain->name,
				       family_name(chain->family), chain->table,
				       fate == FIREWALL_DROPPED_BY_POLICY ? "policy drop"
									  : "a rule drops");
		ret->mend = is_iptables(chain)
				    ? mend_iptables(chain->family == NFPROTO_IPV4 ? "iptables"
										  : "ip6tables",
						    link)
				    : mend_nft(chain, link);
	}
	if (ret->what && ret->mend)
		return 1;
	firewall_blocker_done(ret);
	return -ENOMEM;
}

static int find_in_nft(const char *link, bool has_ports, struct firewall_blocker *ret)
{
	autoruleset struct firewall_ruleset ruleset = {};
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : nft_probe(socket);

	if (r == 0)
		r = firewall_ruleset_load(socket, &ruleset);
	for (size_t i = 0; r == 0 && i < ruleset.chain_count; i++) {
		const struct firewall_chain *chain = &ruleset.chains[i];
		enum firewall_fate fate = FIREWALL_PASSES;

		if (chain->filters_forward)
			fate = fate_of(&ruleset, chain, link, has_ports);
		if (fate != FIREWALL_PASSES)
			r = describe(chain, fate, link, ret);
	}
	return r == -EOPNOTSUPP || r == -EPROTONOSUPPORT ? 0 : r;
}

static int find_in_legacy(const char *link, struct firewall_blocker *ret)
{
	static const char *const programs[] = {"iptables-legacy", "ip6tables-legacy"};

	for (size_t i = 0; i < ARRAY_SIZE(nfprotos); i++) {
		int r = firewall_legacy_drops(nfprotos[i], link);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		ret->what = str_printf("chain FORWARD of %s (policy drop)", programs[i]);
		ret->mend = mend_iptables(programs[i], link);
		if (ret->what && ret->mend)
			return 1;
		firewall_blocker_done(ret);
		return -ENOMEM;
	}
	return 0;
}

int firewall_find_blocker(const char *link, bool has_ports, struct firewall_blocker *ret)
{
	struct firewall_blocker found = {};
	int r = find_in_nft(link, has_ports, &found);

	if (r == 0)
		r = find_in_legacy(link, &found);
	if (r > 0)
		*ret = found;
	return r;
}
