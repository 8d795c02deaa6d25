/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event loop: dispatch, removal during dispatch, timers, errors, sleep. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "check.h"
#include "lib/event.h"
#include "lib/time.h"

struct fixture {
	struct event_loop *loop;
	int fds[3];
	unsigned calls[3];
	unsigned timer_calls;
	struct event_timer timer;
	int fds_before;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fds_before = fd_count();
	assert_int_equal(event_loop_new(&f->loop), 0);
	for (int i = 0; i < 3; i++) {
		f->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(f->fds[i] >= 0);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_loop_free(f->loop);
	event_loop_free(NULL);
	for (int i = 0; i < 3; i++)
		(void)close(f->fds[i]);
	assert_int_equal(fd_count(), f->fds_before);
	free(f);
	return 0;
}

static void ring(int fd)
{
	assert_int_equal(eventfd_write(fd, 1), 0);
}

static int index_of(const struct fixture *f, int fd)
{
	for (int i = 0; i < 3; i++)
		if (f->fds[i] == fd)
			return i;
	fail();
	return -1;
}

static int count_and_exit(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;

	assert_true(events & EPOLLIN);
	f->calls[index_of(f, fd)]++;
	event_exit(loop, 7);
	return 0;
}

static int fail_with_eio(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	return -EIO;
}

/* The first callback removes all three sources, after the events of the others were fetched. */
static int remove_all(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;

	f->calls[index_of(f, fd)]++;
	for (int i = 0; i < 3; i++)
		event_remove_fd(loop, f->fds[i]);
	event_arm_timer(loop, &f->timer, time_monotonic_us() + 20 * USEC_PER_MSEC);
	return 0;
}

/* The same descriptor is registered again at once: the old event must not reach the new source. */
static int remove_and_add_others(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;

	f->calls[index_of(f, fd)]++;
	for (int i = 0; i < 3; i++) {
		eventfd_t value;

		event_remove_fd(loop, f->fds[i]);
		(void)eventfd_read(f->fds[i], &value);
		assert_int_equal(event_add_fd(loop, f->fds[i], EPOLLIN, fail_with_eio, f), 0);
	}
	event_arm_timer(loop, &f->timer, time_monotonic_us() + 20 * USEC_PER_MSEC);
	return 0;
}

static int exit_by_timer(struct event_loop *loop, void *userdata)
{
	struct fixture *f = userdata;

	f->timer_calls++;
	event_exit(loop, 3);
	return 0;
}

static void test_dispatch_and_exit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, count_and_exit, f), 0);
	assert_int_equal(event_add_fd(f->loop, f->fds[1], EPOLLIN, fail_with_eio, f), 0);
	ring(f->fds[0]);
	assert_int_equal(event_run(f->loop), 7);
	/* It is still readable, so a second run calls it again. */
	assert_int_equal(event_run(f->loop), 7);
	assert_int_equal(f->calls[0], 2);
}

static void test_error_ends_run(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, fail_with_eio, f), 0);
	ring(f->fds[0]);
	assert_int_equal(event_run(f->loop), -EIO);
}

static void test_registration_errors(void **state)
{
	struct fixture *f = *state;
	autoclose int regular = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(event_add_fd(f->loop, -1, EPOLLIN, count_and_exit, f), -EBADF);
	assert_int_equal(event_add_fd(f->loop, 1000, EPOLLIN, count_and_exit, f), -EBADF);
	assert_int_equal(event_add_fd(f->loop, regular, EPOLLIN, count_and_exit, f), -EPERM);
	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, count_and_exit, f), 0);
	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, count_and_exit, f), -EEXIST);
	assert_int_equal(event_change_fd(f->loop, f->fds[1], EPOLLIN), -ENOENT);
	event_remove_fd(f->loop, f->fds[1]);
	event_remove_fd(f->loop, -1);
}

static void test_change(void **state)
{
	struct fixture *f = *state;

	f->timer = (struct event_timer){.fn = exit_by_timer, .userdata = f};
	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, count_and_exit, f), 0);
	ring(f->fds[0]);
	assert_int_equal(event_change_fd(f->loop, f->fds[0], 0), 0);
	event_arm_timer(f->loop, &f->timer, time_monotonic_us() + 10 * USEC_PER_MSEC);
	assert_int_equal(event_run(f->loop), 3);
	assert_int_equal(f->calls[0], 0);
	assert_int_equal(event_change_fd(f->loop, f->fds[0], EPOLLIN), 0);
	assert_int_equal(event_run(f->loop), 7);
}

static void run_removal(struct fixture *f, event_fd_fn fn)
{
	f->timer = (struct event_timer){.fn = exit_by_timer, .userdata = f};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(event_add_fd(f->loop, f->fds[i], EPOLLIN, fn, f), 0);
		ring(f->fds[i]);
	}
	assert_int_equal(event_run(f->loop), 3);
	assert_int_equal(f->calls[0] + f->calls[1] + f->calls[2], 1);
}

static void test_remove_during_dispatch(void **state)
{
	run_removal(*state, remove_all);
}

static void test_readd_during_dispatch(void **state)
{
	run_removal(*state, remove_and_add_others);
}

static char order[8];

static int note(struct event_loop *loop, void *userdata)
{
	strncat(order, userdata, 1);
	if (*(char *)userdata == 'c')
		event_exit(loop, 0);
	return 0;
}

static void test_timer_order(void **state)
{
	struct fixture *f = *state;
	uint64_t now = time_monotonic_us();
	struct event_timer a = {.fn = note, .userdata = (void *)"a"};
	struct event_timer b = {.fn = note, .userdata = (void *)"b"};
	struct event_timer c = {.fn = note, .userdata = (void *)"c"};
	struct event_timer d = {.fn = note, .userdata = (void *)"d"};

	order[0] = '\0';
	event_arm_timer(f->loop, &c, now + 30000);
	event_arm_timer(f->loop, &a, now + 60000000);
	event_arm_timer(f->loop, &a, now + 10000); /* moved */
	event_arm_timer(f->loop, &b, now + 20000);
	event_arm_timer(f->loop, &d, now + 15000);
	event_disarm_timer(f->loop, &d);
	event_disarm_timer(f->loop, &d);
	assert_int_equal(event_run(f->loop), 0);
	assert_string_equal(order, "abc");
	assert_true(time_monotonic_us() >= now + 30000);
	assert_true(a.due_us == USEC_INFINITY && d.due_us == USEC_INFINITY);
	event_arm_timer(f->loop, &a, USEC_INFINITY);
	assert_true(a.due_us == USEC_INFINITY);
}

static int rearm_in_past(struct event_loop *loop, void *userdata)
{
	struct fixture *f = userdata;

	f->timer_calls++;
	event_arm_timer(loop, &f->timer, 1);
	return 0;
}

static void test_busy_timer_does_not_starve(void **state)
{
	struct fixture *f = *state;

	f->timer = (struct event_timer){.fn = rearm_in_past, .userdata = f};
	event_arm_timer(f->loop, &f->timer, 0);
	assert_int_equal(event_add_fd(f->loop, f->fds[0], EPOLLIN, count_and_exit, f), 0);
	ring(f->fds[0]);
	assert_int_equal(event_run(f->loop), 7);
	assert_int_equal(f->timer_calls, 1);
}

static int fail_timer(struct event_loop *loop, void *userdata)
{
	return -ETIME;
}

static void test_timer_error_ends_run(void **state)
{
	struct fixture *f = *state;
	struct event_timer timer = {.fn = fail_timer};

	event_arm_timer(f->loop, &timer, 0);
	assert_int_equal(event_run(f->loop), -ETIME);
}

static void test_exit_before_run(void **state)
{
	struct fixture *f = *state;

	event_exit(f->loop, 5);
	assert_int_equal(event_run(f->loop), 5);
}

/* One wait for one timer: rounding must not make the loop spin just before it is due. */
static void test_sleeps(void **state)
{
	struct fixture *f = *state;
	struct rusage before, after;

	f->timer = (struct event_timer){.fn = exit_by_timer, .userdata = f};
	event_arm_timer(f->loop, &f->timer, time_monotonic_us() + 100 * USEC_PER_MSEC + 1);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(event_run(f->loop), 3);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_nvcsw - before.ru_nvcsw <= 3);
}

struct quiet {
	struct fixture *f;
	struct event_timer timer;
	unsigned busy_left, fired;
};

static int be_busy(struct event_loop *loop, void *userdata)
{
	struct quiet *quiet = userdata;

	if (--quiet->busy_left > 0)
		event_arm_timer(loop, &quiet->f->timer, time_monotonic_us() + 5 * USEC_PER_MSEC);
	return 0;
}

static int on_quiet(struct event_loop *loop, void *userdata)
{
	struct quiet *quiet = userdata;

	quiet->fired++;
	/* Time for it to fire again, which it must not: its own firing doesn't count as activity.
	 */
	quiet->f->timer = (struct event_timer){.fn = exit_by_timer, .userdata = quiet->f};
	event_arm_timer(loop, &quiet->f->timer, time_monotonic_us() + 60 * USEC_PER_MSEC);
	return 0;
}

/* Not while there are events, and once afterwards. */
static void test_quiet(void **state)
{
	struct fixture *f = *state;
	struct quiet quiet = {.f = f, .busy_left = 20};
	uint64_t quiet_us = 20 * USEC_PER_MSEC;

	quiet.timer =
		(struct event_timer){.due_us = USEC_INFINITY, .fn = on_quiet, .userdata = &quiet};
	f->timer = (struct event_timer){.due_us = USEC_INFINITY, .fn = be_busy, .userdata = &quiet};
	event_set_quiet(f->loop, &quiet.timer, quiet_us);
	event_arm_timer(f->loop, &f->timer, time_monotonic_us());
	assert_int_equal(event_run(f->loop), 3);
	assert_int_equal(quiet.busy_left, 0);
	assert_int_equal(quiet.fired, 1);
	event_disarm_timer(f->loop, &quiet.timer);
}

#define event_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		event_test(test_dispatch_and_exit),
		event_test(test_error_ends_run),
		event_test(test_registration_errors),
		event_test(test_change),
		event_test(test_remove_during_dispatch),
		event_test(test_readd_during_dispatch),
		event_test(test_timer_order),
		event_test(test_busy_timer_does_not_starve),
		event_test(test_timer_error_ends_run),
		event_test(test_exit_before_run),
		event_test(test_sleeps),
		event_test(test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
