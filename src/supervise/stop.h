/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends a running machine. Every function may be called twice, and does nothing between two boots.
 * Loud.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/event.h"
#include "machine/consolelog.h"
#include "machine/registry.h"
#include "spec/spec.h"

/* The boot that is to be ended. */
struct stop_target {
	int leader_fd; /* pidfd of PID 1, borrowed; -1: it has ended */
	int cgroup_fd; /* borrowed, or -1 */
	bool init_notifies;
	bool is_starting; /* it has yet to say that it is ready; the owner clears this */
	uint64_t begun_us;
};

struct stop {
	/* borrowed, set by the owner for the whole life of the machine */
	const struct spec *spec;
	const struct machine_state *state;
	struct event_loop *loop;
	struct consolelog *log; /* or NULL */
	/* The machine is being asked to stop. */
	void (*on_stopping)(void *userdata);
	void *userdata;

	struct stop_target target;
	bool is_stopping;     /* the owner clears this before each boot */
	bool was_forced;      /* killed on the way to a reboot that was asked for; cleared too */
	bool wants_no_reboot; /* for good: a reboot from inside ends the machine too */

	int asker_fd; /* pidfd of the process that asks the init, or -1 */
	unsigned reminders;
	struct event_timer timeout_timer;
	struct event_timer ask_timer;
	struct event_timer held_timer; /* to report who keeps a killed machine from ending */
};

/* Takes the owner's fields, resets the rest. */
void stop_init(struct stop *stop, const struct stop *owned);
/* A boot runs. */
void stop_watch(struct stop *stop, const struct stop_target *target);
/* It has ended, and PID 1 is reaped. */
void stop_unwatch(struct stop *stop);

/* The machine is asked to end, and killed after the timeout. 0 or -errno. */
int stop_ask(struct stop *stop, uint64_t timeout_us);
/* -EBUSY when it is being stopped. */
int stop_ask_reboot(struct stop *stop);
void stop_kill(struct stop *stop);
/* Kills every process; what comes next is up to the caller. */
void stop_kill_all(struct stop *stop);
/* The first request is polite, the second is not. */
void stop_on_signal(struct stop *stop);
