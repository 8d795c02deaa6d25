/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The chains of this host's packet filter, read into memory, and the rules of those that are asked
 * for. Quiet. Supervisor's and caller's side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define FIREWALL_COMMENT_MAX 256
/* How the comment of what is ours begins; the name of the machine follows. */
#define FIREWALL_MARK "redd:"

struct nlattr;

struct others_rule {
	uint64_t handle;
	char comment[FIREWALL_COMMENT_MAX];
	struct nlattr *expressions; /* a nest of NFTA_LIST_ELEM */
};

struct others_chain {
	uint8_t family;
	char *table, *name;
	bool filters_forward; /* a base chain of type filter at hook forward */
	uint32_t policy;      /* NF_ACCEPT, NF_DROP */
	bool is_loaded;	      /* its rules are here */
	struct others_rule *rules;
	size_t rule_count;
	/* For firewall_walk(): what becomes of the packet at hand in this chain. */
	bool is_walked;
	int32_t verdict;
};

struct firewall_ruleset {
	int socket; /* borrowed; for the rules of chains and the elements of sets */
	struct others_chain *chains;
	size_t chain_count;
};

/* The chains alone. 0 or -errno: -EINTR when other programs don't stop changing them. */
int firewall_ruleset_load(int socket, struct firewall_ruleset *ret);
/* The rules of a chain, once. The same. */
int firewall_ruleset_load_rules(struct firewall_ruleset *ruleset, struct others_chain *chain);
void firewall_ruleset_done(struct firewall_ruleset *ruleset);
#define autoruleset autocall(firewall_ruleset_done)

/* Or NULL. */
struct others_chain *firewall_ruleset_find(const struct firewall_ruleset *ruleset, uint8_t family,
					   const char *table, const char *name);
