/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Generations of a NixOS machine that boots from the host's store: remembers the last one that
 * became ready, and rolls back to it when a newer one doesn't. Loud.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/event.h"

struct generation {
	/* borrowed, set by the owner */
	struct event_loop *loop;
	const char *machine;
	const char *profile_path; /* as the settings name it; NULL: not a system of Nix */
	bool is_enabled;	  /* the settings ask for roll-backs */
	uint64_t ready_timeout_us;
	/* The machine has not become ready in time: it is to be killed. */
	void (*on_late)(void *userdata);
	void *userdata;

	struct event_timer timer;
	bool has_rolled_back; /* and nothing has become ready since */
};

/* A boot begins. */
void generation_watch(struct generation *generation);
/* The boot of this store path (NULL: none) has become ready. */
void generation_note_good(struct generation *generation, const char *system);
/* The boot has ended, or is not watched any more. */
void generation_unwatch(struct generation *generation);
/*
 * `failed`, generation number `from`, didn't become ready. True: the profile is back at the last
 * good generation, boot again. Must not be called when a person has ended the machine.
 */
bool generation_roll_back(struct generation *generation, const char *failed, unsigned from);
