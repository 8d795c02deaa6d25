/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops a machine of a single process: asked, reminded, killed after the timeout, killed at once.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/time.h"
#include "log/log.h"
#include "supervise/stop.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

struct fixture {
	struct scratch *scratch;
	struct spec spec;
	struct machine_state machine;
	struct event_loop *loop;
	struct stop stop;
	struct event_timer timer;
	unsigned warnings;
	unsigned announced; /* how often the owner was told of the stop */
};

static void count_warning(enum log_level level, const char *line, void *userdata)
{
	((struct fixture *)userdata)->warnings++;
}

static void on_stopping(void *userdata)
{
	((struct fixture *)userdata)->announced++;
}

static int on_timer(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

static void run_for(struct fixture *f, uint64_t us)
{
	event_arm_timer(f->loop, &f->timer, time_monotonic_us() + us);
	assert_int_equal(event_run(f->loop), 0);
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
	struct stop_target target = {.cgroup_fd = -1, .begun_us = time_monotonic_us()};

	f->spec.machine = machine_name;
	f->spec.start = SPEC_START_COMMAND;
	f->spec.kill_signal = kill_signal;
	f->spec.stop_timeout_us = 100 * USEC_PER_MSEC;
	f->machine.leader = make_leader(ignored);
	target.leader_fd = (int)syscall(SYS_pidfd_open, f->machine.leader, 0);
	assert_true(target.leader_fd >= 0);
	assert_int_equal(machine_read_starttime(f->machine.leader, &f->machine.leader_starttime),
			 0);
	stop_watch(&f->stop, &target);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(scratch_setup((void **)&f->scratch), 0);
	f->timer = (struct event_timer){.fn = on_timer, .due_us = USEC_INFINITY};
	f->machine.name = strdup("unit");
	assert_int_equal(machine_read_boot_id(&f->machine.boot_id), 0);
	assert_int_equal(event_loop_new(&f->loop), 0);
	stop_init(&f->stop, &(struct stop){
				    .spec = &f->spec,
				    .state = &f->machine,
				    .loop = f->loop,
				    .on_stopping = on_stopping,
				    .userdata = f,
			    });
	log_set_sink(count_warning, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_set_sink(NULL, NULL);
	if (f->stop.target.leader_fd >= 0) {
		(void)kill(f->machine.leader, SIGKILL);
		(void)waitpid(f->machine.leader, NULL, 0);
		(void)close(f->stop.target.leader_fd);
	}
	stop_unwatch(&f->stop);
	event_loop_free(f->loop);
	machine_state_done(&f->machine);
	assert_int_equal(scratch_teardown((void **)&f->scratch), 0);
	free(f);
	return 0;
}

/* The signal that ended the leader, or 0 while it lives. */
static int ended_by(struct fixture *f)
{
	struct pollfd poll_fd = {.fd = f->stop.target.leader_fd, .events = POLLIN};
	int status;

	if (poll(&poll_fd, 1, 20) == 0)
		return 0;
	assert_int_equal(waitpid(f->machine.leader, &status, 0), f->machine.leader);
	(void)close(take_fd(&f->stop.target.leader_fd));
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void test_asked_by_its_signal(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, 0);
	assert_int_equal(stop_ask(&f->stop, USEC_INFINITY), 0);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGUSR1);
	assert_true(f->stop.is_stopping);
	assert_true(f->stop.wants_no_reboot);
	assert_int_equal(f->announced, 1);
	assert_int_equal(f->warnings, 0);
}

static void test_killed_after_the_timeout(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	assert_int_equal(stop_ask(&f->stop, 100 * USEC_PER_MSEC), 0);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), 0);
	run_for(f, 300 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_int_equal(f->warnings, 1);
	/* A stop was requested, so there is no reboot. */
	assert_false(f->stop.was_forced);
}

static void test_second_signal_is_impolite(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	f->spec.stop_timeout_us = USEC_INFINITY;
	stop_on_signal(&f->stop);
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), 0);
	stop_on_signal(&f->stop);
	assert_int_equal(ended_by(f), SIGKILL);
}

static void test_terminate(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	stop_kill(&f->stop);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_true(f->stop.wants_no_reboot);
}

/* A reboot that takes too long is forced, and still counts as a reboot. */
static void test_forced_reboot(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, 0);
	f->spec.start = SPEC_START_BOOT;
	f->spec.kill_signal = 0;
	assert_int_equal(stop_ask_reboot(&f->stop), 0);
	assert_false(f->stop.wants_no_reboot);
	run_for(f, 400 * USEC_PER_MSEC);
	assert_int_equal(ended_by(f), SIGKILL);
	assert_true(f->stop.was_forced);
}

/* A later reboot request doesn't replace a stop request. */
static void test_no_reboot_after_stop(void **state)
{
	struct fixture *f = *state;

	begin(f, SIGUSR1, SIGUSR1);
	assert_int_equal(stop_ask(&f->stop, USEC_INFINITY), 0);
	assert_int_equal(stop_ask_reboot(&f->stop), -EBUSY);
}

/* Between two boots there is nothing to kill, whatever its descriptors are by then. */
static void test_nothing_to_kill_between_boots(void **state)
{
	struct fixture *f = *state;
	int leader_fd;

	begin(f, SIGUSR1, 0);
	leader_fd = f->stop.target.leader_fd;
	stop_unwatch(&f->stop);
	stop_kill_all(&f->stop);
	f->stop.target.leader_fd = leader_fd;
	assert_int_equal(ended_by(f), 0);
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
		stop_test(test_nothing_to_kill_between_boots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
