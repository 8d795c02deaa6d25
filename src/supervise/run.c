/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a machine: claim its name and image, boot, watch, boot again when it reboots, and
 * give everything back. Supervisor's side.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/store.h"
#include "image/os_release.h"
#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/cgroups.h"
#include "machine/oom.h"
#include "supervise/control_server.h"
#include "supervise/internal.h"
#include "supervise/network.h"

/* A machine that reboots so often in a row, each time within so short a time, is in a loop. */
#define QUICK_BOOT_US (5 * USEC_PER_SEC)
#define QUICK_BOOTS_MAX 8
#define STATE_RETRY_US USEC_PER_SEC
/* Output that nobody has read so long after a signal that asked for the end is dropped. */
#define SIGNALLED_OUTPUT_MS 3000

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH};

static int mark(struct supervisor *s, const char *text)
{
	if (s->log)
		consolelog_mark(s->log, text);
	return 0;
}

/* Until it is written: a full /run, say, will be emptied again. */
static int write_state(struct supervisor *s)
{
	int r = machine_state_write(s->machine_dir, &s->state);

	event_arm_timer(s->loop, &s->state_timer,
			r < 0 ? time_monotonic_us() + STATE_RETRY_US : USEC_INFINITY);
	return r;
}

static int on_state_due(struct event_loop *loop, void *userdata)
{
	(void)write_state(userdata);
	return 0;
}

int supervisor_write_state(struct supervisor *s, enum machine_phase phase)
{
	bool was_said = s->state_timer.due_us != USEC_INFINITY;
	int r;

	s->state.phase = phase;
	r = write_state(s);
	return r >= 0 || was_said ? r
				  : log_errno(r, "write the state of machine %s", s->spec->machine);
}

void supervisor_set_ready(struct supervisor *s)
{
	if (s->is_ready)
		return;
	s->is_ready = true;
	if (!s->is_stopping)
		(void)supervisor_write_state(s, MACHINE_PHASE_RUNNING);
	mark(s, "ready");
	generation_note_good(s);
	start_report_ready(s);
	memory_watch(s);
}

/* `fd` as in signalfd(2). What stays blocked and unwatched is of no interest any more. */
static int open_signals(int fd, bool with_resize)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(watched_signals); i++)
		if (with_resize || watched_signals[i] != SIGWINCH)
			(void)sigaddset(&set, watched_signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int block_signals(struct supervisor *s)
{
	(void)signal(SIGPIPE, SIG_IGN);
	s->signal_fd = open_signals(-1, true);
	return s->signal_fd < 0 ? log_errno(s->signal_fd, "watch signals") : 0;
}

/* 0: none came that means the end. */
static int take_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGWINCH) {
		console_resize_from_terminal(s->console);
		return 0;
	}
	s->was_signalled = true;
	return (int)info.ssi_signo;
}

static int on_signal(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	int signal = take_signal(userdata);

	if (signal > 0)
		(void)stop_on_signal(userdata, signal);
	return 0;
}

bool supervisor_is_interrupted(struct supervisor *s)
{
	bool is_interrupted = take_signal(s) > 0;

	s->wants_no_reboot |= is_interrupted;
	return is_interrupted;
}

/* What the wait status of the init of a pid namespace means. Source: reboot(2), last section. */
static void take_exit(struct supervisor *s, const siginfo_t *info)
{
	s->end = SUPERVISOR_END_EXITED;
	if (info->si_code == CLD_EXITED) {
		s->exit_code = info->si_status;
	} else if (info->si_status == SIGHUP) {
		s->end = SUPERVISOR_END_REBOOT;
	} else if (info->si_status == SIGINT) {
		s->end = SUPERVISOR_END_POWEROFF;
		s->exit_code = 0;
	} else {
		s->exit_code = 128 + info->si_status;
	}
}

static int on_leader(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct supervisor *s = userdata;
	siginfo_t info = {};

	if (waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED) < 0)
		return errno == EINTR ? 0 : -errno;
	take_exit(s, &info);
	event_remove_fd(loop, fd);
	(void)close(take_fd(&s->leader_fd));
	s->leader = 0;
	event_exit(loop, 0);
	return 0;
}

/* The parts of the state that a boot finds out. */
static int describe_boot(struct supervisor *s)
{
	struct machine_state *state = &s->state;
	const struct host_facts *facts = &s->host.facts;
	char capabilities[17];

	state->leader = s->leader;
	state->leader_starttime = 0;
	(void)machine_read_starttime(s->leader, &state->leader_starttime);
	state->uid_shift = facts->uid_shift;
	state->uid_range = facts->has_user_namespace ? facts->uid_range : 0;
	state->scoped = facts->is_scoped;
	(void)snprintf(capabilities, sizeof(capabilities), "%016" PRIx64, facts->caps);
	state->boots++;
	state->nix_generation = facts->store_generation;
	if (str_replace(&state->uuid, facts->uuid) < 0 ||
	    str_replace(&state->capabilities, capabilities) < 0 ||
	    str_replace(&state->os, facts->image_os) < 0 ||
	    str_replace(&state->init, facts->init) < 0 ||
	    str_replace(&state->nix_system, facts->store_system) < 0 ||
	    str_replace(&state->nix_store,
			facts->store_system ? store_mode_name(s->spec->store) : NULL) < 0 ||
	    str_replace(&state->interface, s->host.has_interface ? facts->network.link : NULL) < 0)
		return log_oom();
	return 0;
}

static int describe_machine(struct supervisor *s)
{
	struct machine_state *state = &s->state;
	const struct spec *spec = s->spec;

	*state = (struct machine_state){
		.name = strdup(spec->machine),
		.phase = MACHINE_PHASE_STARTING,
		.supervisor = getpid(),
		.since_us = time_realtime_us(),
		.image = strdup(spec->directory),
		.cgroup = cgroups_path_of(spec->machine, ""),
		.managed = spec->managed,
		.ephemeral = spec->ephemeral,
		.booted = spec->start == SPEC_START_BOOT,
		.private_network = spec->private_network,
		.vsock = spec->vsock,
		.stop_timeout_us = spec->stop_timeout_us,
	};
	return state->name && state->image && state->cgroup ? 0 : log_oom();
}

static int watch_boot(struct supervisor *s)
{
	int r = describe_boot(s);

	if (r >= 0)
		r = event_add_fd(s->loop, s->leader_fd, EPOLLIN, on_leader, s);
	if (r < 0)
		return log_errno(r, "watch machine %s", s->spec->machine);
	r = console_connect(s->console, take_fd(&s->pty_fd));
	return r < 0 ? r : notify_watch(s);
}

static void boot_decide_ready(struct supervisor *s)
{
	int wish = s->spec->notify_ready;

	s->expects_ready = wish > 0 || (wish < 0 && s->spec->start == SPEC_START_BOOT &&
					s->host.facts.init_notifies);
	if (s->expects_ready)
		(void)supervisor_write_state(s, MACHINE_PHASE_STARTING);
	else
		supervisor_set_ready(s);
}

/* One boot from beginning to end. Afterwards s->end tells how it ended. */
static int boot_once(struct supervisor *s)
{
	int r;

	s->end = SUPERVISOR_END_NONE;
	s->is_ready = false;
	s->is_stopping = false;
	s->boot_us = time_monotonic_us();
	generation_watch(s);
	mark(s, "started");
	r = boot_machine(s);
	if (r >= 0)
		r = confine_supervisor(s);
	if (r >= 0)
		r = watch_boot(s);
	if (r >= 0) {
		network_boot(s->network);
		boot_decide_ready(s);
		r = event_run(s->loop);
		if (r < 0)
			(void)log_errno(r, "wait for what happens to machine %s", s->spec->machine);
	}
	event_disarm_timer(s->loop, &s->stop_timer);
	event_disarm_timer(s->loop, &s->held_timer);
	if (s->was_forced && s->end == SUPERVISOR_END_EXITED)
		s->end = SUPERVISOR_END_REBOOT;
	s->was_forced = false;
	notify_unwatch(s);
	console_disconnect(s->console);
	if (s->leader_fd >= 0)
		event_remove_fd(s->loop, s->leader_fd);
	s->state.leader = 0;
	network_down(s->network);
	boot_undo(s);
	return r;
}

static bool is_looping(struct supervisor *s)
{
	if (time_monotonic_us() - s->boot_us >= QUICK_BOOT_US)
		s->quick_boots = 0;
	return ++s->quick_boots > QUICK_BOOTS_MAX;
}

static void mark_end(struct supervisor *s)
{
	autofree char *text = NULL;

	if (s->end == SUPERVISOR_END_REBOOT)
		text = strdup("rebooting");
	else if (s->end == SUPERVISOR_END_POWEROFF)
		text = strdup("powered off");
	else if (s->exit_code > 128)
		text = str_printf("killed by signal %s", signal_to_name(s->exit_code - 128));
	else
		text = str_printf("exited with status %d", s->exit_code);
	if (!text)
		return;
	/* The caller of `start` still waits. */
	if (s->start_fd >= 0 && s->end != SUPERVISOR_END_REBOOT)
		(void)log_error(-ECHILD, "machine %s %s before it was ready", s->spec->machine,
				text);
	else
		mark(s, text);
}

static int boot_repeatedly(struct supervisor *s)
{
	for (;;) {
		int r = boot_once(s);

		if ((r >= 0 || s->plan_reached_exec) &&
		    generation_roll_back(s, s->state.nix_system)) {
			(void)supervisor_write_state(s, MACHINE_PHASE_STARTING);
			continue;
		}
		if (r < 0)
			return r;
		mark_end(s);
		if (s->end != SUPERVISOR_END_REBOOT || s->wants_no_reboot)
			return s->end == SUPERVISOR_END_REBOOT ? 0 : s->exit_code;
		if (is_looping(s)) {
			return log_error(-ELOOP,
					 "machine %s reboots again and again, giving up: "
					 "see redd logs %s",
					 s->spec->machine, s->spec->machine);
		}
		(void)supervisor_write_state(s, MACHINE_PHASE_STARTING);
	}
}

static int claim(struct supervisor *s)
{
	const char *name = s->spec->machine;
	int r;

	if (cgroups_name_is_reserved(name)) {
		(void)log_error(
			-EINVAL,
			"no machine can be called %s: the kernel has, or may have, a file of "
			"that name in each directory of cgroups",
			name);
		log_hint("give it another name: redd run -M NAME, or rename its image");
		return -EINVAL;
	}
	s->machine_dir = machine_claim(name, &s->machine_lock_fd);
	if (s->machine_dir == -EEXIST)
		return log_error(-EEXIST, "machine %s is running already: see redd status %s", name,
				 name);
	if (s->machine_dir < 0)
		return log_errno(s->machine_dir, "claim the name %s in " MACHINE_RUN_DIR, name);
	s->image_fd = image_open(s->image);
	if (s->image_fd < 0)
		return log_errno(s->image_fd, "open the image %s", s->image->path);
	r = image_lock(s->image, s->spec->read_only || s->spec->ephemeral, &s->image_lock);
	if (r == -EBUSY)
		return log_error(r,
				 "%s is in use by another machine or being changed; a throw-away "
				 "copy can be run beside it with -x if it is not written to",
				 s->image->path);
	return r < 0 ? log_errno(r, "lock the image %s", s->image->path) : 0;
}

static int open_watchers(struct supervisor *s)
{
	int r = event_loop_new(&s->loop);

	if (r < 0)
		return log_errno(r, "make the event loop");
	outlet_attach(&s->messages, s->loop);
	r = block_signals(s);
	if (r >= 0)
		r = event_add_fd(s->loop, s->signal_fd, EPOLLIN, on_signal, s);
	if (r < 0)
		return log_errno(r, "watch signals");
	/* What only a command needs is no reason to keep a log of its output. */
	if (s->spec->managed || s->spec->start == SPEC_START_BOOT)
		(void)consolelog_open(s->spec->machine, &s->log);
	r = console_new(s, &s->console);
	if (r >= 0)
		r = network_new(s, &s->network);
	return r;
}

int supervisor_open_to_others(struct supervisor *s)
{
	int r;

	if (s->control)
		return 0;
	r = machine_read_boot_id(&s->state.boot_id);
	return r < 0 ? log_errno(r, "read the id of this boot of the host")
		     : control_open(s, &s->control);
}

/* When others see that the machine has ended. */
static void give_name_back(struct supervisor *s)
{
	image_lock_release(&s->image_lock);
	if (s->image_fd >= 0)
		(void)close(s->image_fd);
	/* Kept without a lock, the entry tells the next command that something is left to clean. */
	if (s->machine_dir >= 0 && !s->host.has_leftovers)
		(void)machine_release(s->spec->machine, s->machine_dir);
	if (s->machine_dir >= 0)
		(void)close(s->machine_dir);
	if (s->machine_lock_fd >= 0)
		(void)close(s->machine_lock_fd);
}

/*
 * What the caller has not read yet is written when everything else is over: until then it would
 * hold up whoever waits for the machine's end. A signal ends that, too.
 */
static void finish_output(struct supervisor *s)
{
	int timeout_ms = s->was_signalled ? SIGNALLED_OUTPUT_MS : -1;

	if (s->signal_fd >= 0)
		(void)open_signals(s->signal_fd, false);
	if (s->console)
		console_finish(s->console, s->signal_fd, timeout_ms);
	console_free(s->console);
	outlet_attach(&s->messages, NULL);
	outlet_finish(&s->messages, s->signal_fd, timeout_ms);
	log_set_sink(NULL, NULL);
	outlet_close(&s->messages);
}

static void let_go(struct supervisor *s)
{
	control_server_free(s->control);
	network_free(s->network);
	if (s->log)
		start_report_log(s);
	consolelog_close(s->log);
	s->log = NULL;
	give_name_back(s);
	finish_output(s);
	if (s->signal_fd >= 0)
		(void)close(s->signal_fd);
	event_loop_free(s->loop);
	if (s->mount_ns_fd >= 0)
		(void)close(s->mount_ns_fd);
	machine_state_done(&s->state);
}

/*
 * Memory that belongs to no process, such as a tmpfs, can make a guest the smaller of the two. It
 * is no hole when the supervisor goes first, but an end without a word.
 */
static void survive_the_machine(struct supervisor *s)
{
	int now = oom_score_lower_own();

	s->oom_score = oom_score_of_machine(now);
	if (now > OOM_SCORE_MIN)
		log_debug("the OOM score of the supervisor of machine %s is %d, of the machine %d: "
			  "without CAP_SYS_RESOURCE the machine's root can make its own as low",
			  s->spec->machine, now, s->oom_score);
}

int supervisor_live(struct supervisor *s)
{
	int r;

	/* Nothing of this process may be read by a guest before its program replaces it (X03). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* The caller's taste must not hide /run/host or a new mount point from the machine. */
	(void)umask(022);
	survive_the_machine(s);
	s->asker_fd = -1;
	s->image_fd = s->machine_dir = s->machine_lock_fd = s->signal_fd = -1;
	s->pty_fd = s->leader_fd = s->report_fd = s->holder_fd = -1;
	s->image_lock = IMAGE_LOCK_NONE;
	s->stop_timer.due_us = USEC_INFINITY;
	s->ask_timer.due_us = USEC_INFINITY;
	s->held_timer.due_us = USEC_INFINITY;
	s->quiet_timer.due_us = USEC_INFINITY;
	s->ready_timer.due_us = USEC_INFINITY;
	s->state_timer =
		(struct event_timer){.due_us = USEC_INFINITY, .fn = on_state_due, .userdata = s};
	s->mount_ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	r = s->mount_ns_fd < 0 ? log_errno(-errno, "open /proc/self/ns/mnt; is /proc mounted?")
			       : claim(s);
	if (r >= 0)
		r = describe_machine(s);
	if (r >= 0)
		r = open_watchers(s);
	if (r >= 0)
		r = boot_repeatedly(s);
	if (r == -ENOSYS)
		log_hint(SUPERVISE_OLD_KERNEL);
	let_go(s);
	return r;
}

/* A command that can't be executed, in the numbers that shells use. */
static int exit_code_of_failure(const struct supervisor *s, int error)
{
	if (s->spec->start == SPEC_START_BOOT || s->start_error == 0 || !s->plan_reached_exec)
		return error;
	return error == -ENOENT || error == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* A machine must not wait for who reads its supervisor's messages. */
static void stderr_sink(enum log_level level, const char *line, void *userdata)
{
	struct supervisor *s = userdata;
	autofree char *text = log_format_stderr(level, line);

	if (text)
		(void)outlet_write(&s->messages, text, strlen(text));
}

static void tell_lost(void *userdata)
{
	struct supervisor *s = userdata;
	unsigned lost = s->messages.lost;

	s->messages.lost = 0;
	if (lost > 0)
		log_warning("%u messages are missing here: nobody read standard error", lost);
}

int supervise_run(const struct spec *spec, const struct image *image)
{
	struct supervisor s = {.spec = spec, .image = image, .start_fd = -1};
	int r = fd_reserve_stdio();

	if (r < 0)
		return log_errno(r, "open /dev/null for closed standard descriptors");
	outlet_open(&s.messages, STDERR_FILENO, SUPERVISOR_MESSAGES_MAX);
	s.messages.on_empty = tell_lost;
	s.messages.userdata = &s;
	log_set_sink(stderr_sink, &s);
	r = supervisor_live(&s);
	return r < 0 ? exit_code_of_failure(&s, r) : r;
}

int supervise_explain(const struct spec *spec, const struct image *image)
{
	autoclose int image_fd = image_open(image);
	autoplan struct plan plan = {};
	struct host_facts facts = {};
	int r;

	if (image_fd < 0)
		return log_errno(image_fd, "open the image %s", image->path);
	r = host_look(spec, image_fd, &facts);
	if (r >= 0)
		r = host_plan(spec, &facts, &plan);
	if (r >= 0)
		plan_print(&plan, stdout);
	host_facts_done(&facts);
	return r;
}
