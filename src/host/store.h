/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The paths of the host's Nix store that a machine sees. Loud but for the names. */
#pragma once

#include <stddef.h>

#include "plan/plan.h"
#include "spec/spec.h"

struct host_facts;
struct nix_closure;

/*
 * A folder for each profile: its file "good" holds the last system that became ready, "source" the
 * SYSTEM that a user gave.
 */
#define STORE_STATE_DIR "/var/lib/redd/nix"

/* "closure", "whole", "daemon", "own" */
const char *store_mode_name(enum spec_store store);
/* The machine whose profile the path is, a new string; NULL for any other path. */
char *store_profile_machine(const char *system);

/* Checks that each path that the system needs is there. 0, or -errno (said). */
int store_check(const char *system);
void store_paths_free(struct plan_store_path *paths, size_t count);

/*
 * The facts that store_plan_tree() needs for a closure: what each of its paths is. Takes its names,
 * also on error. -ENOENT (said) when one is gone. `store` is a descriptor of /nix/store, `system`
 * is for the message.
 */
int store_facts_look(int store, const char *system, struct nix_closure *closure,
		     struct host_facts *facts);
/*
 * What the machine gets as /nix/store, detached, in the slot that is returned: ops of the stages
 * open and setup, which need PLAN_SLOT_STORE and, for a user namespace, PLAN_SLOT_USERNS, and a
 * mount namespace of their own. must_lock: the kernel won't lock the flags of the mounts by itself.
 */
enum plan_slot store_plan_tree(enum spec_store store, const struct host_facts *facts,
			       bool must_lock, struct plan *plan);

/* The op that points the machine's system profile to a system. Borrows the string. */
void store_fill_link(struct plan_op *op, const char *system, uint32_t owner);
