/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of others that drop what is forwarded: finds the chains of iptables-nft that need accepts
 * of ours, and names the rest with a command. Must never touch a rule without our mark. Quiet.
 * Supervisor's and caller's side.
 */
#include <errno.h>

#include "firewall/legacy.h"
#include "firewall/ruleset.h"
#include "firewall/send.h"
#include "firewall/walk.h"
#include "lib/str.h"

static const struct family {
	uint8_t nfproto;
	enum firewall_chain forward, docker;
	enum firewall_others_chain forward_bit, docker_bit;
	const char *legacy; /* its program for the older packet filter */
} families[] = {
	{NFPROTO_IPV4, FIREWALL_FORWARD4, FIREWALL_DOCKER4, FIREWALL_OTHERS_FORWARD4,
	 FIREWALL_OTHERS_DOCKER4, "iptables-legacy"},
	{NFPROTO_IPV6, FIREWALL_FORWARD6, FIREWALL_DOCKER6, FIREWALL_OTHERS_FORWARD6,
	 FIREWALL_OTHERS_DOCKER6, "ip6tables-legacy"},
};
/* The last concerns machines with ports only. */
static const enum firewall_packet packets[] = {FIREWALL_CALL, FIREWALL_ANSWER, FIREWALL_PORT};

void firewall_others_done(struct firewall_others *others)
{
	free(take_ptr(others->what));
	free(take_ptr(others->mend));
}

/* The worst that happens to what the machine needs, in those families that the chain sees. */
static enum firewall_fate fate_of(struct firewall_ruleset *ruleset, struct others_chain *chain,
				  const char *link, bool has_ports)
{
	enum firewall_fate fate = FIREWALL_PASSES;
	size_t packet_count = ARRAY_SIZE(packets) - !has_ports;

	for (size_t i = 0; i < ARRAY_SIZE(families) && fate == FIREWALL_PASSES; i++)
		for (size_t j = 0; j < packet_count && fate == FIREWALL_PASSES; j++)
			fate = firewall_walk(ruleset, chain, link, packets[j], families[i].nfproto);
	return fate;
}

static struct others_chain *find_chain(const struct firewall_ruleset *ruleset,
				       enum firewall_chain chain)
{
	const struct nft_chain *wanted = firewall_chain_in_kernel(chain);

	return firewall_ruleset_find(ruleset, wanted->family, wanted->table, wanted->name);
}

/* Bits of the chains to accept in: an administrator's rules stay first in a chain that passes what
 * the machine needs. */
static unsigned find_accepts(struct firewall_ruleset *ruleset, const char *link)
{
	unsigned found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct others_chain *forward = find_chain(ruleset, families[i].forward);

		if (!forward || !forward->filters_forward ||
		    fate_of(ruleset, forward, link, true) == FIREWALL_PASSES)
			continue;
		found |= families[i].forward_bit;
		if (find_chain(ruleset, families[i].docker))
			found |= families[i].docker_bit;
	}
	return found;
}

/* A batch each: one that somebody else has removed meanwhile must not keep the others. */
static void remove_rule(int socket, const struct nft_chain *chain, uint64_t handle)
{
	struct nft_batch batch = {};
	int refused;

	nft_delete_rule(&batch, chain, handle);
	(void)nft_batch_send(socket, &batch, &refused);
}

/* Those of `machine`, or for NULL of all that don't live. */
static int remove_from(struct firewall_ruleset *ruleset, enum firewall_chain which,
		       const char *machine, bool (*is_alive)(const char *machine))
{
	struct others_chain *chain = find_chain(ruleset, which);
	int r = chain ? firewall_ruleset_load_rules(ruleset, chain) : 0;

	for (size_t i = 0; r >= 0 && chain && i < chain->rule_count; i++) {
		const char *name = str_after_prefix(chain->rules[i].comment, FIREWALL_MARK);

		if (name && (machine ? streq(name, machine) : !is_alive(name)))
			remove_rule(ruleset->socket, firewall_chain_in_kernel(which),
				    chain->rules[i].handle);
	}
	return r;
}

static int remove_from_all(struct firewall_ruleset *ruleset, const char *machine,
			   bool (*is_alive)(const char *machine))
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(families); i++) {
		r = remove_from(ruleset, families[i].forward, machine, is_alive);
		if (r >= 0)
			r = remove_from(ruleset, families[i].docker, machine, is_alive);
	}
	return r;
}

static int remove_ours(const char *machine, bool (*is_alive)(const char *machine))
{
	autoruleset struct firewall_ruleset ruleset = {};
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : firewall_ruleset_load(socket, &ruleset);

	return r < 0 ? r : remove_from_all(&ruleset, machine, is_alive);
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

static char *mend_nft(const struct others_chain *chain, const char *link)
{
	const char *family = family_name(chain->family);

	return str_printf("nft 'insert rule %s %s %s iifname \"%s\" accept; "
			  "insert rule %s %s %s oifname \"%s\" accept'",
			  family, chain->table, chain->name, link, family, chain->table,
			  chain->name, link);
}

static int describe(const struct others_chain *chain, enum firewall_fate fate, const char *link,
		    struct firewall_others *ret)
{
	if (chain->family == NFPROTO_INET && streq(chain->table, "firewalld")) {
		ret->what = strdup("firewalld");
		ret->mend = str_printf("firewall-cmd --zone=trusted --change-interface=%s", link);
	} else {
		ret->what = str_printf("chain %s of table %s %s (%s)", chain->name,
				       family_name(chain->family), chain->table,
				       fate == FIREWALL_DROPPED_BY_POLICY ? "policy drop"
									  : "a rule drops");
		ret->mend = mend_nft(chain, link);
	}
	return ret->what && ret->mend ? 0 : -ENOMEM;
}

/* A chain that our accepts will mend is no news. */
static bool is_mended(const struct firewall_ruleset *ruleset, const struct others_chain *chain,
		      unsigned accept_in)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (accept_in & families[i].forward_bit &&
		    find_chain(ruleset, families[i].forward) == chain)
			return true;
	return false;
}

static int look_at_nft(const char *machine, const char *link, bool has_ports,
		       struct firewall_others *ret)
{
	autoruleset struct firewall_ruleset ruleset = {};
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : nft_probe(socket);

	if (r == 0)
		r = firewall_ruleset_load(socket, &ruleset);
	/* A supervisor of this name that was killed left these. The walk ignores them. */
	if (r == 0 && machine)
		r = remove_from_all(&ruleset, machine, NULL);
	if (r == 0)
		ret->accept_in = find_accepts(&ruleset, link);
	for (size_t i = 0; r == 0 && !ret->what && i < ruleset.chain_count; i++) {
		struct others_chain *chain = &ruleset.chains[i];
		enum firewall_fate fate = FIREWALL_PASSES;

		if (chain->filters_forward && !is_mended(&ruleset, chain, ret->accept_in))
			fate = fate_of(&ruleset, chain, link, has_ports);
		if (fate != FIREWALL_PASSES)
			r = describe(chain, fate, link, ret);
	}
	return r == -EOPNOTSUPP || r == -EPROTONOSUPPORT ? 0 : r;
}

static int look_at_legacy(const char *link, struct firewall_others *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(families) && !ret->what; i++) {
		const char *program = families[i].legacy;
		int r = firewall_legacy_drops(families[i].nfproto, link);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		ret->what = str_printf("chain FORWARD of %s (policy drop)", program);
		ret->mend = str_printf("%s -I FORWARD -i %s -j ACCEPT && "
				       "%s -I FORWARD -o %s -j ACCEPT",
				       program, link, program, link);
		if (!ret->what || !ret->mend)
			return -ENOMEM;
	}
	return 0;
}

int firewall_look_at_others(const char *machine, const char *link, bool has_ports,
			    struct firewall_others *ret)
{
	struct firewall_others others = {};
	int r = look_at_nft(machine, link, has_ports, &others);

	if (r == 0)
		r = look_at_legacy(link, &others);
	if (r < 0)
		firewall_others_done(&others);
	else
		*ret = others;
	return r;
}
