/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ending a machine: its init is asked in the way it understands, after the timeout everything is
 * killed. Every step may come twice. Supervisor's side.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/leader.h"
#include "machine/poweroff.h"
#include "machine/unreaped.h"
#include "supervise/internal.h"

/* How often an init that is not ready to be asked is asked again. */
#define ASK_AGAIN_US (200 * USEC_PER_MSEC)
/* One that was asked is reminded so often, for a minute. */
#define REMIND_US (2 * USEC_PER_SEC)
#define REMINDERS_MAX 30
/* What is killed has ended long before. */
#define HELD_US (2 * USEC_PER_SEC)
/* After so long every init has its signal handlers. */
#define YOUNG_US (5 * USEC_PER_SEC)

/* Waits for as long as that takes: to undo the machine below its processes would be worse. */
static int on_held(struct event_loop *loop, void *userdata)
{
	struct supervisor *s = userdata;
	autoleader struct leader leader = {};
	autofree char *holder = NULL, *text = NULL;
	struct unreaped unreaped;

	if (leader_open(&s->state, &leader) < 0 || machine_find_unreaped(&leader, &unreaped) <= 0)
		return 0;
	holder = machine_describe_unreaped(&unreaped);
	text = holder ? str_printf("was killed and waits for %s", holder) : NULL;
	if (!text)
		return 0;
	log_warning("machine %s %s", s->spec->machine, text);
	log_hint("let process %d go on (kill -CONT), or end it", unreaped.parent);
	if (s->log)
		consolelog_mark(s->log, text);
	return 0;
}

static void watch_held(struct supervisor *s)
{
	s->held_timer.fn = on_held;
	s->held_timer.userdata = s;
	event_arm_timer(s->loop, &s->held_timer, time_monotonic_us() + HELD_US);
}

void stop_kill_all(struct supervisor *s)
{
	if (s->host.cgroup_fd >= 0) {
		/* Frozen processes don't die. */
		(void)io_write_file_at(s->host.cgroup_fd, "cgroup.freeze", "0");
		(void)io_write_file_at(s->host.cgroup_fd, "cgroup.kill", "1");
	}
	if (s->leader_fd >= 0)
		(void)sys_pidfd_send_signal(s->leader_fd, SIGKILL);
	watch_held(s);
}

void stop_kill(struct supervisor *s)
{
	s->wants_no_reboot = true;
	stop_kill_all(s);
}

/* A reboot that was asked for goes on to the next boot all the same. */
static int on_timeout(struct event_loop *loop, void *userdata)
{
	struct supervisor *s = userdata;

	log_warning("machine %s did not stop in time, killing it", s->spec->machine);
	event_disarm_timer(loop, &s->ask_timer);
	if (s->log)
		consolelog_mark(s->log, "did not stop in time, killed");
	s->was_forced = !s->wants_no_reboot;
	stop_kill_all(s);
	return 0;
}

static void arm(struct supervisor *s, uint64_t timeout_us)
{
	s->stop_timer.fn = on_timeout;
	s->stop_timer.userdata = s;
	if (timeout_us == USEC_INFINITY)
		event_disarm_timer(s->loop, &s->stop_timer);
	else
		event_arm_timer(s->loop, &s->stop_timer, time_monotonic_us() + timeout_us);
}

static int send_signal(struct supervisor *s, int signal)
{
	autoleader struct leader leader = {};
	int r = leader_open(&s->state, &leader);

	return r < 0 ? r : leader_send_signal(&leader, signal);
}

/* Without an init inside there is nobody to ask: the signal is what the person chose. */
static int signal_payload(struct supervisor *s)
{
	int signal = s->spec->kill_signal;

	if (signal == 0)
		signal = s->spec->start == SPEC_START_PID2 ? SIGTERM : SIGKILL;
	return send_signal(s, signal);
}

/* An init nobody knows: one of these is what most of them take for "shut down". */
static int signal_unknown_init(struct supervisor *s)
{
	int r = send_signal(s, SIGRTMIN + 4);
	int also = r < 0 ? r : send_signal(s, SIGTERM);

	return MIN(r, also);
}

static int ask_init(struct supervisor *s)
{
	int r = machine_ask_stop(&s->state,
				 s->wants_no_reboot ? MACHINE_ASK_POWEROFF : MACHINE_ASK_REBOOT);

	/* A NixOS init is a shell script until it has become systemd. */
	if (r == -EOPNOTSUPP && s->expects_ready && !s->is_ready)
		return -EAGAIN;
	return r == -EOPNOTSUPP && s->wants_no_reboot ? signal_unknown_init(s) : r;
}

/* What the asking process ends with. */
enum asked {
	ASKED_DONE,
	ASKED_AGAIN,
	ASKED_FAILED,
};

/* Signals get lost on the way up only; later they may count. */
static bool is_young(const struct supervisor *s)
{
	return time_monotonic_us() - s->boot_us < YOUNG_US;
}

static enum asked ask_now(struct supervisor *s)
{
	int r = ask_init(s);

	/* A fifo that is not there yet will be, on the way up. */
	if (r == -EAGAIN || ((r > 0 || r == -ENOENT) && is_young(s)))
		return ASKED_AGAIN;
	return r < 0 && r != -ESRCH ? ASKED_FAILED : ASKED_DONE;
}

static void ask_later(struct supervisor *s, uint64_t delay_us)
{
	event_arm_timer(s->loop, &s->ask_timer, time_monotonic_us() + delay_us);
}

/*
 * Inits with numbered stages (runit, OpenRC, sysvinit) forget what they are asked in an early one.
 * To ask again what is under way changes nothing. A systemd keeps it in mind.
 */
static void remind(struct supervisor *s)
{
	if (!s->host.facts.init_notifies && s->reminders++ < REMINDERS_MAX)
		ask_later(s, REMIND_US);
}

static void reap_asker(struct supervisor *s, siginfo_t *ret)
{
	while (waitid((idtype_t)P_PIDFD, (id_t)s->asker_fd, ret, WEXITED) < 0 && errno == EINTR)
		;
	event_remove_fd(s->loop, s->asker_fd);
	(void)close(take_fd(&s->asker_fd));
}

static int on_asked(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct supervisor *s = userdata;
	siginfo_t info = {};

	reap_asker(s, &info);
	if (info.si_code == CLD_EXITED && info.si_status == ASKED_AGAIN)
		ask_later(s, ASK_AGAIN_US);
	else if (info.si_code == CLD_EXITED && info.si_status == ASKED_DONE)
		remind(s);
	else if (info.si_code != CLD_EXITED || info.si_status == ASKED_FAILED)
		/* Whoever can't be asked is killed when the time is over: the stop goes on. */
		log_warning(
			"machine %s can't be asked to stop, it is killed when the time for that "
			"is over",
			s->spec->machine);
	return 0;
}

/*
 * Asking may look at files of the guest, and the guest decides how long that takes: its own FUSE
 * can be mounted there. So a process of its own asks, and the supervisor stays awake to kill.
 */
static int begin_asking(struct supervisor *s)
{
	pid_t pid;

	if (s->asker_fd >= 0)
		return 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(ask_now(s));
	}
	s->asker_fd = sys_pidfd_open(pid, 0);
	if (s->asker_fd < 0)
		return s->asker_fd;
	return event_add_fd(s->loop, s->asker_fd, EPOLLIN, on_asked, s);
}

/* The machine has ended: nothing of it can hold the asking process up any more. */
void stop_end_asking(struct supervisor *s)
{
	siginfo_t info;

	event_disarm_timer(s->loop, &s->ask_timer);
	if (s->asker_fd < 0)
		return;
	(void)sys_pidfd_send_signal(s->asker_fd, SIGKILL);
	reap_asker(s, &info);
}

static int ask(struct supervisor *s)
{
	bool is_signalled = s->wants_no_reboot &&
			    (s->spec->start != SPEC_START_BOOT || s->spec->kill_signal != 0);
	int r;

	if (!is_signalled)
		return begin_asking(s);
	r = signal_payload(s);
	if (r == -EAGAIN || (r > 0 && is_young(s)))
		ask_later(s, ASK_AGAIN_US);
	return r == -EAGAIN ? 0 : MIN(r, 0);
}

static int on_ask_again(struct event_loop *loop, void *userdata)
{
	(void)ask(userdata);
	return 0;
}

static int begin_stop(struct supervisor *s, uint64_t timeout_us)
{
	int r;

	s->ask_timer.fn = on_ask_again;
	s->ask_timer.userdata = s;
	s->is_stopping = true;
	s->reminders = 0;
	(void)supervisor_write_state(s, MACHINE_PHASE_STOPPING);
	r = ask(s);
	arm(s, timeout_us);
	/* Whoever can't be asked is killed when the time is over: the stop goes on. */
	if (r < 0 && r != -ESRCH)
		log_warning_errno(r, "ask machine %s to stop", s->spec->machine);
	return 0;
}

int stop_ask(struct supervisor *s, uint64_t timeout_us)
{
	s->wants_no_reboot = true;
	return begin_stop(s, timeout_us);
}

/* An init that never gets there is killed: the person wants a fresh machine. */
int stop_ask_reboot(struct supervisor *s)
{
	return s->wants_no_reboot ? -EBUSY : begin_stop(s, s->spec->stop_timeout_us);
}

/* The first request is polite, the second is not. */
int stop_on_signal(struct supervisor *s, int signal)
{
	if (s->is_stopping && s->wants_no_reboot)
		stop_kill(s);
	else
		(void)stop_ask(s, s->spec->stop_timeout_us);
	return 0;
}
