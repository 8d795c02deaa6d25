/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The supervisor's own state, shared by the files of this folder only. */
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
#include "supervise/supervise.h"

struct console;
struct control_server;
struct network;

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
	struct consolelog *log; /* NULL where nothing is kept */

	int mount_ns_fd; /* the caller's, to go back to between boots */
	int oom_score;	 /* of the machine, see machine/oom.h */

	/* one boot */
	struct host host;
	struct plan plan;
	struct child_context context;
	int report_fd;
	int holder_fd; /* the same of the holder of its namespaces */
	pid_t leader;
	int leader_fd; /* pidfd */
	int pty_fd;    /* the console's master, until the console takes it */
	bool expects_ready;
	bool is_ready;
	enum supervisor_end end;
	int exit_code;
	uint64_t boot_us; /* monotonic, when this boot began */
	unsigned quick_boots;

	struct console *console;
	struct control_server *control;
	struct network *network; /* NULL: the host's */
	int signal_fd;
	struct event_timer stop_timer;
	struct event_timer ask_timer;
	struct event_timer held_timer; /* to look who keeps a killed machine from ending */
	unsigned reminders;
	int asker_fd;			/* pidfd of the process that asks the init, or -1 */
	struct event_timer ready_timer; /* for a generation that may be rolled back */
	bool has_rolled_back;		/* and nothing became ready since */
	struct event_timer quiet_timer;
	struct event_timer state_timer; /* to write again what readers don't find: it was said */
	bool is_confined;		/* see confine.c: stays so over reboots */
	bool was_forced;		/* killed on the way to a reboot that was asked for */
	bool is_stopping;
	bool was_signalled;	/* asked by a signal to end */
	bool wants_no_reboot;	/* stop was asked: a reboot from inside ends the machine too */
	int start_fd;		/* `redd start` waits at the other end, or -1 */
	struct outlet messages; /* to `redd start`, or to standard error */
	bool plan_reached_exec; /* what failed was exec itself */
	int start_error;	/* why the machine could not be made */
};

/* boot.c: carries out the plan. Afterwards leader, leader_fd, pty_fd are set. -errno: said why. */
int boot_machine(struct supervisor *s);
/* Kills what is left and undoes everything of this boot. */
void boot_undo(struct supervisor *s);

/*
 * confine.c: gives up, once, what the supervisor of a running machine does not need. -errno: said
 * why; then the machine must not go on.
 */
int confine_supervisor(struct supervisor *s);

/* errors.c: words the failure of an op, once. Returns `error`. */
int boot_log_failure(const struct supervisor *s, const struct plan_op *op, int error);

/* console.c */
int console_new(struct supervisor *s, struct console **ret);
/* Hands over a master (taken); a console outlives its machine's reboots. */
int console_connect(struct console *console, int pty_fd);
/* Reads what is still in the master after the machine's end, and lets go of it. */
void console_disconnect(struct console *console);
/* Nothing depends on the supervisor any more: waits as outlet_finish() for the caller to read. */
void console_finish(struct console *console, int stop_fd, int timeout_ms);
void console_free(struct console *console);
/* `fd` is taken and gets the back-scroll, then the stream; frames of control.h come from it. */
int console_add_client(struct console *console, int fd, uint16_t rows, uint16_t columns);
void console_resize_from_terminal(struct console *console);

/* memory.c: something happened; when nothing more does, memory is given back. */
void memory_watch(struct supervisor *s);

/* notify.c: READY=1 from PID 1 */
int notify_watch(struct supervisor *s);
void notify_unwatch(struct supervisor *s);

/* control.c */
int control_open(struct supervisor *s, struct control_server **ret);

/* stop.c */
int stop_ask(struct supervisor *s, uint64_t timeout_us);
int stop_ask_reboot(struct supervisor *s);
void stop_kill(struct supervisor *s);
/* Kills every process, and leaves it open what comes next. */
void stop_kill_all(struct supervisor *s);
/* When the machine has ended. */
void stop_end_asking(struct supervisor *s);
int stop_on_signal(struct supervisor *s, int signal);

/* generation.c: the boot has begun, has become ready, has ended. */
void generation_watch(struct supervisor *s);
void generation_note_good(struct supervisor *s);
/* True: the profile is back at the last good generation, boot again. `failed`: what was booted. */
bool generation_roll_back(struct supervisor *s, const char *failed);

/* run.c */
void supervisor_set_ready(struct supervisor *s);
int supervisor_write_state(struct supervisor *s, enum machine_phase phase);
/*
 * Makes what others reach the machine by, once. They find it by its state, which is written behind
 * that, when the boot has succeeded. Loud.
 */
int supervisor_open_to_others(struct supervisor *s);
/* A signal that asks for the end came, while nobody runs the loop: takes it. */
bool supervisor_is_interrupted(struct supervisor *s);
/* The whole life, for run and start. s->messages is closed at the end. Exit code or -errno. */
int supervisor_live(struct supervisor *s);

/* start.c: tells `redd start` that the machine is ready, and lets go of it. */
void start_report_ready(struct supervisor *s);
/* There is a log whose end tells why, should the start have failed. */
void start_report_log(struct supervisor *s);
