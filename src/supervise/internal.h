/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's own state: run.c owns it, boot.c and start.c work on it. What these three tie
 * together (console, stop, control …) has a header of its own and knows nothing of this one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "child/child.h"
#include "host/host.h"
#include "image/lock.h"
#include "lib/event.h"
#include "lib/outlet.h"
#include "machine/consolelog.h"
#include "machine/registry.h"
#include "supervise/control.h"
#include "supervise/generation.h"
#include "supervise/notify.h"
#include "supervise/stop.h"
#include "supervise/supervise.h"

/* Messages that wait for a caller who does not read; further ones are dropped. */
#define SUPERVISOR_MESSAGES_MAX (16 * 1024)

/* How a boot of the machine ended. */
enum supervisor_end {
	SUPERVISOR_END_NONE,
	SUPERVISOR_END_EXITED,	 /* exit_code tells */
	SUPERVISOR_END_POWEROFF, /* reboot(2) with halt or power off */
	SUPERVISOR_END_REBOOT,	 /* reboot(2) with restart */
};

struct supervisor {
	const struct spec *spec;
	const struct image *image;
	int image_fd;
	struct image_lock image_lock;
	int machine_dir;
	int machine_lock_fd;
	struct machine_state state;
	struct event_loop *loop;
	struct consolelog *log; /* NULL: no log is kept */
	int signal_fd;
	int mount_ns_fd; /* the caller's, to go back to between boots */
	int oom_score;	 /* of the machine, see machine/oom.h */

	/* one boot */
	struct host host;
	struct plan plan;
	struct child_context context;
	int report_fd;
	int holder_fd; /* the report socket of the holder of its namespaces */
	pid_t leader;
	int leader_fd; /* pidfd */
	int pty_fd;    /* the console's master, until the console takes it */
	bool is_ready;
	bool plan_reached_exec; /* what failed was exec itself */
	int start_error;	/* why the machine could not be made */
	enum supervisor_end end;
	int exit_code;
	uint64_t boot_us; /* monotonic, when this boot began */
	unsigned quick_boots;

	struct console *console;
	struct network *network; /* NULL: the host's */
	struct control_server *control;
	struct control_target control_target;
	struct stop stop;
	struct generation generation;
	struct notify notify;
	struct event_timer quiet_timer;
	struct event_timer state_timer; /* to write a state again that could not be written */
	bool is_confined;		/* see confine.h: stays so over reboots */
	bool was_signalled;		/* asked by a signal to end */
	int start_fd;			/* `redd start` waits at the other end, or -1 */
	struct outlet messages;		/* to `redd start`, or to standard error */
};

/* boot.c: carries out the plan. Afterwards leader, leader_fd, pty_fd are set. -errno (said). */
int boot_machine(struct supervisor *s);
/* Kills what is left and undoes everything of this boot. */
void boot_undo(struct supervisor *s);

/* run.c */
int supervisor_write_state(struct supervisor *s, enum machine_phase phase);
/*
 * Makes the control socket, once. Clients find it by the state, which is written when the boot has
 * succeeded. Loud.
 */
int supervisor_open_control(struct supervisor *s);
/* A signal that asks for the end has come while the loop doesn't run: takes it. */
bool supervisor_is_interrupted(struct supervisor *s);
/* The whole life, for run and start. s->messages is closed at the end. Exit code or -errno. */
int supervisor_live(struct supervisor *s);

/* start.c: tells `redd start` that the machine is ready, and closes the pipe to it. */
void start_report_ready(struct supervisor *s);
/* Tells it that there is a console log to print from, should the start have failed. */
void start_report_log(struct supervisor *s);
