/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops a machine of a single process: asked, reminded, killed after the timeout, killed at once.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/time.h"
#include "log/log.h"
#include "supervise/internal.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

struct fixture {
	struct scratch *scratch;
	struct spec spec;
	struct supervisor s;
	struct event_timer timer;
	unsigned warnings;
};

static void count_warning(enum log_level level, const char *line, void *userdata)
{
	((struct fixture *)userdata)->warnings++;
}

static int on_timer(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

static void run_for(struct fixture *f, uint64_t us)
{
	event_arm_timer(f->s.loop, &f->timer, time_monotonic_us() + us);
	assert_int_equal(event_run(f->s.loop), 0);
}

/* A leader that reports readiness by a byte, and then waits for signals. */
static pid_t make_leader(int ignored)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGUSR1, SIG_DFL);
		if (ignored)
			(void)signal(ignored, SIG_IGN);
		(void)!write(ends[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return pid;
}

static char machine_name[] = "unit";

static void begin(struct fixture *f, int kill_signal, int ignored)
{
	struct supervisor *s = &f->s;

	f->spec.machine = machine_name;
	f->spec.start = SPEC_START_COMMAND;
	f->spec.kill_signal = kill_signal;
	f->spec.stop_timeout_us = 100 * USEC_PER_MSEC;
	s->leader = s->state.leader = make_leader(ignored);
	s->leader_fd = (int)syscall(SYS_pidfd_open, s->leader, 0);
	assert_true(s->leader_fd >= 0);
	assert_int_equal(machine_read_starttime(s->leader, &s->state.leader_starttime), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct supervisor *s;

	assert_non_null(f);
	assert_int_equal(scratch_setup((void **)&f->scratch), 0);
	f->timer = (struct event_timer){.fn = on_timer, .due_us = USEC_INFINITY};
	s = &f->s;
	s->spec = &f->spec;
	s->machine_dir = f->scratch->fd;
	s->asker_fd = s->leader_fd = s->host.cgroup_fd = s->start_fd = -1;
	s->stop_timer.due_us = s->ask_timer.due_us = s->state_timer.due_us = USEC_INFINITY;
	s->boot_us = time_monotonic_us();
	s->state.name = strdup("unit");
	assert_int_equal(machine_read_boot_id(&s->state.boot_id), 0);
	assert_int_equal(event_loop_new(&s->loop), 0);
	log_set_sink(count_warning, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_set_sink(NULL, NULL);
	stop_end_asking(&f->s);
	event_disarm_timer(f->s.loop, &f->s.stop_timer);
	if (f->s.leader_fd >= 0) {
		(void)kill(f->s.leader, SIGKILL);
		(void)waitpid(f->s.leader, NULL, 0);
		(void)close(f->s.leader_fd);
	}
	event_loop_free(f->s.loop);
	machine_state_done(&f->s.state);
	assert_int_equal(scratch_teardown((void **)&f->scratch), 0);
	free(f);
	return 0;
}

/* The signal that ended the leader, or 0 while it lives. */
static int ended_by(struct fixture *f)
{
	struct pollfd poll_fd = {.fd = f->s.leader_fd, .events = POLLIN};
	int status;

	if (poll(&poll_fd, 1, 20) == 0)
		return 0;
	assert_int_equal(waitpid(f->s.leader, &status, 0), f->s.leader);
	(void)close(take_fd(&f->s.leader_fd));
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void test_asked_by_its_signal(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, 0);
	assert_int_equal(stop_ask(&f->s, USEC_INFINITY), 0);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGUSR1);
	assert_true(f->s.is_stopping);
	assert_true(f->s.wants_no_reboot);
	assert_int_equal(f->s.state.phase, MACHINE_PHASE_STOPPING);
	assert_int_equal(f->warnings, 0);
}

static void test_killed_after_the_timeout(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	assert_int_equal(stop_ask(&f->s, 100 * USEC_PER_MSEC), 0);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), 0);
	run_for(f, 300 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_int_equal(f->warnings, 1);
	/* A stop was requested, so there is no reboot. */
	assert_false(f->s.was_forced);
}

static void test_second_signal_is_impolite(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	f->spec.stop_timeout_us = USEC_INFINITY;
	assert_int_equal(stop_on_signal(&f->s, SIGTERM), 0);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), 0);
	assert_int_equal(stop_on_signal(&f->s, SIGTERM), 0);
	assert_int_equal(ended_by(f), SIGKILL);
}

static void test_terminate(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	stop_kill(&f->s);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_true(f->s.wants_no_reboot);
}

/* A reboot that takes too long is forced, and still counts as a reboot. */
static void test_forced_reboot(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, 0);
	f->spec.start = SPEC_START_BOOT;
	f->spec.kill_signal = 0;
	assert_int_equal(stop_ask_reboot(&f->s), 0);
	assert_false(f->s.wants_no_reboot);
	run_for(f, 400 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_true(f->s.was_forced);
}

/* A later reboot request doesn't replace a stop request. */
static void test_no_reboot_after_stop(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	assert_int_equal(stop_ask(&f->s, USEC_INFINITY), 0);
	assert_int_equal(stop_ask_reboot(&f->s), -EBUSY);
}

#define stop_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stop_test(test_asked_by_its_signal),
		stop_test(test_killed_after_the_timeout),
		stop_test(test_second_signal_is_impolite),
		stop_test(test_terminate),
		stop_test(test_forced_reboot),
		stop_test(test_no_reboot_after_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
