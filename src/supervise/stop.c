/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends a machine: asks its init in the way that this init understands, and kills everything after
 * the timeout. Must never wait for the guest. Supervisor's side.
 */
#include "supervise/stop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/leader.h"
#include "machine/poweroff.h"
#include "machine/unreaped.h"

/* An init that could not be asked yet is asked again after this time. */
#define ASK_AGAIN_US (200 * USEC_PER_MSEC)
/* An init that was asked is asked again at this interval, for a minute. */
#define REMIND_US (2 * USEC_PER_SEC)
#define REMINDERS_MAX 30
/* A killed machine normally ends well within this time. */
#define HELD_US (2 * USEC_PER_SEC)
/* By this age every init has set up its signal handlers. */
#define YOUNG_US (5 * USEC_PER_SEC)

/*
 * Says who keeps a killed machine from ending, and goes on waiting: to undo the machine while it
 * has processes would be worse.
 */
static int on_held(struct event_loop *loop, void *userdata)
{
	struct stop *stop = userdata;
	autoleader struct leader leader = {};
	autofree char *holder = NULL, *text = NULL;
	struct unreaped unreaped;

	if (leader_open(stop->state, &leader) < 0 || machine_find_unreaped(&leader, &unreaped) <= 0)
		return 0;
	holder = machine_describe_unreaped(&unreaped);
	text = holder ? str_printf("was killed and waits for %s", holder) : NULL;
	if (!text)
		return 0;
	log_warning("machine %s %s", stop->spec->machine, text);
	log_hint("let process %d go on (kill -CONT), or end it", unreaped.parent);
	if (stop->log)
		consolelog_mark(stop->log, text);
	return 0;
}

void stop_kill_all(struct stop *stop)
{
	if (stop->target.cgroup_fd >= 0) {
		/* A frozen process doesn't die. */
		(void)io_write_file_at(stop->target.cgroup_fd, "cgroup.freeze", "0");
		(void)io_write_file_at(stop->target.cgroup_fd, "cgroup.kill", "1");
	}
	if (stop->target.leader_fd >= 0)
		(void)sys_pidfd_send_signal(stop->target.leader_fd, SIGKILL);
	event_arm_timer(stop->loop, &stop->held_timer, time_monotonic_us() + HELD_US);
}

void stop_kill(struct stop *stop)
{
	stop->wants_no_reboot = true;
	stop_kill_all(stop);
}

/* If a reboot was asked for, the next boot follows all the same. */
static int on_timeout(struct event_loop *loop, void *userdata)
{
	struct stop *stop = userdata;

	log_warning("machine %s did not stop in time, killing it", stop->spec->machine);
	event_disarm_timer(loop, &stop->ask_timer);
	if (stop->log)
		consolelog_mark(stop->log, "did not stop in time, killed");
	stop->was_forced = !stop->wants_no_reboot;
	stop_kill_all(stop);
	return 0;
}

static int send_signal(struct stop *stop, int signal)
{
	autoleader struct leader leader = {};
	int r = leader_open(stop->state, &leader);

	return r < 0 ? r : leader_send_signal(&leader, signal);
}

/* Without an init there is nobody to ask, so send the signal that the person chose. */
static int signal_payload(struct stop *stop)
{
	int signal = stop->spec->kill_signal;

	if (signal == 0)
		signal = stop->spec->start == SPEC_START_PID2 ? SIGTERM : SIGKILL;
	return send_signal(stop, signal);
}

/* For an unknown init: most of them take one of these signals for "shut down". */
static int signal_unknown_init(struct stop *stop)
{
	int r = send_signal(stop, SIGRTMIN + 4);
	int also = r < 0 ? r : send_signal(stop, SIGTERM);

	return MIN(r, also);
}

static int ask_init(struct stop *stop)
{
	int r = machine_ask_stop(stop->state,
				 stop->wants_no_reboot ? MACHINE_ASK_POWEROFF : MACHINE_ASK_REBOOT);

	/* A NixOS init is a shell script at first, and systemd later. */
	if (r == -EOPNOTSUPP && stop->target.is_starting)
		return -EAGAIN;
	return r == -EOPNOTSUPP && stop->wants_no_reboot ? signal_unknown_init(stop) : r;
}

/* The exit status of the asking process. */
enum asked {
	ASKED_DONE,
	ASKED_AGAIN,
	ASKED_FAILED,
};

/* Only an init that is starting up loses signals; later each one may count. */
static bool is_young(const struct stop *stop)
{
	return time_monotonic_us() - stop->target.begun_us < YOUNG_US;
}

static enum asked ask_now(struct stop *stop)
{
	int r = ask_init(stop);

	/* An init that is starting up may not have made its fifo yet. */
	if (r == -EAGAIN || ((r > 0 || r == -ENOENT) && is_young(stop)))
		return ASKED_AGAIN;
	return r < 0 && r != -ESRCH ? ASKED_FAILED : ASKED_DONE;
}

static void ask_later(struct stop *stop, uint64_t delay_us)
{
	event_arm_timer(stop->loop, &stop->ask_timer, time_monotonic_us() + delay_us);
}

/*
 * Inits with numbered stages (runit, OpenRC, sysvinit) forget a request that comes in an early
 * stage. Asking again does no harm once the request is under way. A systemd never forgets.
 */
static void remind(struct stop *stop)
{
	if (!stop->target.init_notifies && stop->reminders++ < REMINDERS_MAX)
		ask_later(stop, REMIND_US);
}

static void reap_asker(struct stop *stop, siginfo_t *ret)
{
	while (waitid((idtype_t)P_PIDFD, (id_t)stop->asker_fd, ret, WEXITED) < 0 && errno == EINTR)
		;
	event_remove_fd(stop->loop, stop->asker_fd);
	(void)close(take_fd(&stop->asker_fd));
}

static int on_asked(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct stop *stop = userdata;
	siginfo_t info = {};

	reap_asker(stop, &info);
	if (info.si_code == CLD_EXITED && info.si_status == ASKED_AGAIN)
		ask_later(stop, ASK_AGAIN_US);
	else if (info.si_code == CLD_EXITED && info.si_status == ASKED_DONE)
		remind(stop);
	else if (info.si_code != CLD_EXITED || info.si_status == ASKED_FAILED)
		log_warning(
			"machine %s can't be asked to stop, it is killed when the time for that "
			"is over",
			stop->spec->machine);
	return 0;
}

/*
 * Asking may read files of the guest, and the guest decides how long that takes: it can mount a
 * FUSE of its own there. So a child asks, and the supervisor stays able to kill.
 */
static int begin_asking(struct stop *stop)
{
	pid_t pid;

	if (stop->asker_fd >= 0)
		return 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(ask_now(stop));
	}
	stop->asker_fd = sys_pidfd_open(pid, 0);
	if (stop->asker_fd < 0)
		return stop->asker_fd;
	return event_add_fd(stop->loop, stop->asker_fd, EPOLLIN, on_asked, stop);
}

/* Call it when the machine has ended, which can't hold up the asking process any more. */
static void end_asking(struct stop *stop)
{
	siginfo_t info;

	event_disarm_timer(stop->loop, &stop->ask_timer);
	if (stop->asker_fd < 0)
		return;
	(void)sys_pidfd_send_signal(stop->asker_fd, SIGKILL);
	reap_asker(stop, &info);
}

static int ask(struct stop *stop)
{
	bool is_signalled = stop->wants_no_reboot &&
			    (stop->spec->start != SPEC_START_BOOT || stop->spec->kill_signal != 0);
	int r;

	if (!is_signalled)
		return begin_asking(stop);
	r = signal_payload(stop);
	if (r == -EAGAIN || (r > 0 && is_young(stop)))
		ask_later(stop, ASK_AGAIN_US);
	return r == -EAGAIN ? 0 : MIN(r, 0);
}

static int on_ask_again(struct event_loop *loop, void *userdata)
{
	(void)ask(userdata);
	return 0;
}

static int begin_stop(struct stop *stop, uint64_t timeout_us)
{
	int r;

	stop->is_stopping = true;
	stop->reminders = 0;
	stop->on_stopping(stop->userdata);
	r = ask(stop);
	if (timeout_us == USEC_INFINITY)
		event_disarm_timer(stop->loop, &stop->timeout_timer);
	else
		event_arm_timer(stop->loop, &stop->timeout_timer, time_monotonic_us() + timeout_us);
	/* The stop goes on: a machine that can't be asked is killed after the timeout. */
	if (r < 0 && r != -ESRCH)
		log_warning_errno(r, "ask machine %s to stop", stop->spec->machine);
	return 0;
}

int stop_ask(struct stop *stop, uint64_t timeout_us)
{
	stop->wants_no_reboot = true;
	return begin_stop(stop, timeout_us);
}

/* If the init doesn't end, the machine is killed and booted anew. */
int stop_ask_reboot(struct stop *stop)
{
	return stop->wants_no_reboot ? -EBUSY : begin_stop(stop, stop->spec->stop_timeout_us);
}

void stop_on_signal(struct stop *stop)
{
	if (stop->is_stopping && stop->wants_no_reboot)
		stop_kill(stop);
	else
		(void)stop_ask(stop, stop->spec->stop_timeout_us);
}

static struct event_timer unarmed(struct stop *stop, event_timer_fn fn)
{
	return (struct event_timer){.due_us = USEC_INFINITY, .fn = fn, .userdata = stop};
}

void stop_init(struct stop *stop, const struct stop *owned)
{
	*stop = (struct stop){
		.spec = owned->spec,
		.state = owned->state,
		.loop = owned->loop,
		.log = owned->log,
		.on_stopping = owned->on_stopping,
		.userdata = owned->userdata,
		.target = {.leader_fd = -1, .cgroup_fd = -1},
		.asker_fd = -1,
		.timeout_timer = unarmed(stop, on_timeout),
		.ask_timer = unarmed(stop, on_ask_again),
		.held_timer = unarmed(stop, on_held),
	};
}

void stop_watch(struct stop *stop, const struct stop_target *target)
{
	stop->target = *target;
}

void stop_unwatch(struct stop *stop)
{
	event_disarm_timer(stop->loop, &stop->timeout_timer);
	event_disarm_timer(stop->loop, &stop->held_timer);
	end_asking(stop);
	stop->target = (struct stop_target){.leader_fd = -1, .cgroup_fd = -1};
}
