/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What filters forwarded packets on this host, read into memory: all chains, and the rules of those
 * tables that have a filter at hook forward. Quiet. Supervisor's and caller's side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define FIREWALL_COMMENT_MAX 256

struct nlattr;

struct firewall_chain {
	uint8_t family;
	char *table, *name;
	bool filters_forward; /* a base chain of type filter at hook forward */
	uint32_t policy;      /* NF_ACCEPT, NF_DROP */
};

struct firewall_rule {
	uint8_t family;
	char *table, *chain;
	uint64_t handle;
	char comment[FIREWALL_COMMENT_MAX]; /* nft's or iptables', or "" */
	struct nlattr *expressions;	    /* a copy of the nest */
};

struct firewall_ruleset {
	int socket; /* borrowed, for sets that are looked up */
	struct firewall_chain *chains;
	size_t chain_count;
	struct firewall_rule *rules; /* in the order of the kernel: by chain, first to last */
	size_t rule_count;
};

void firewall_ruleset_done(struct firewall_ruleset *ruleset);
#define autoruleset autocall(firewall_ruleset_done)
/* 0, or -errno; -EINTR: others change their rules all the time. */
int firewall_ruleset_load(int socket, struct firewall_ruleset *ret);
/* NULL when there is none. */
const struct firewall_chain *firewall_ruleset_find(const struct firewall_ruleset *ruleset,
						   uint8_t family, const char *table,
						   const char *name);
