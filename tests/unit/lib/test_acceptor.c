/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accepts connections, without spinning if one can't be accepted. */
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#include "check.h"
#include "lib/acceptor.h"
#include "lib/time.h"

#define STEP_US (50 * USEC_PER_MSEC)

struct fixture {
	struct event_loop *loop;
	struct event_timer timer;
	struct acceptor acceptor;
	struct sockaddr_un address;
	socklen_t address_size;
	unsigned calls, reliefs;
	int result;
	int spare; /* relieve() closes it */
};

static int on_accept(int fd, const struct sockaddr_storage *peer, void *userdata)
{
	struct fixture *f = userdata;

	assert_int_equal(peer->ss_family, AF_UNIX);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	f->calls++;
	(void)close(fd);
	return f->result;
}

static bool relieve(void *userdata)
{
	struct fixture *f = userdata;

	f->reliefs++;
	if (f->spare < 0)
		return false;
	(void)close(take_fd(&f->spare));
	return true;
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

static void begin(struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*f = (struct fixture){
		.timer = {.fn = on_timer, .due_us = USEC_INFINITY},
		.address = {.sun_family = AF_UNIX},
		.address_size = sizeof(f->address),
		.spare = -1,
	};
	assert_int_equal(event_loop_new(&f->loop), 0);
	/* An abstract name picked by the kernel. */
	assert_int_equal(bind(fd, (struct sockaddr *)&f->address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->address, &f->address_size), 0);
	assert_int_equal(acceptor_open(&f->acceptor, f->loop, fd, on_accept, f), 0);
}

static void end(struct fixture *f)
{
	acceptor_close(&f->acceptor);
	acceptor_close(&f->acceptor);
	event_loop_free(f->loop);
}

static int connect_one(struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&f->address, f->address_size), 0);
	return fd;
}

static void test_accepts_and_holds(void **unused)
{
	struct fixture f;
	autoclose int first = -1, second = -1;

	begin(&f);
	first = connect_one(&f);
	run_for(&f, STEP_US);
	assert_int_equal(f.calls, 1);
	acceptor_hold(&f.acceptor, true);
	second = connect_one(&f);
	run_for(&f, STEP_US);
	assert_int_equal(f.calls, 1);
	acceptor_hold(&f.acceptor, false);
	run_for(&f, STEP_US);
	assert_int_equal(f.calls, 2);
	end(&f);
}

/* The process has no free descriptor until the limit is restored. */
static void exhaust(struct rlimit *ret_old)
{
	int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	struct rlimit limit;

	assert_true(next >= 0);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_old), 0);
	limit = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = ret_old->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static uint64_t cpu_us(void)
{
	struct timespec spec;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spec), 0);
	return (uint64_t)spec.tv_sec * USEC_PER_SEC + (uint64_t)spec.tv_nsec / 1000;
}

/* security row: S11 */
static void test_shortage_does_not_spin(void **unused)
{
	struct fixture f;
	autoclose int client = -1;
	struct rlimit old;
	uint64_t before;

	begin(&f);
	client = connect_one(&f);
	exhaust(&old);
	before = cpu_us();
	run_for(&f, 400 * USEC_PER_MSEC);
	assert_true(cpu_us() - before < 100 * USEC_PER_MSEC);
	assert_true(f.acceptor.is_resting);
	assert_int_equal(f.calls, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run_for(&f, 1500 * USEC_PER_MSEC);
	assert_int_equal(f.calls, 1);
	end(&f);
}

static void test_relief(void **unused)
{
	struct fixture f;
	autoclose int client = -1;
	struct rlimit old;

	begin(&f);
	f.acceptor.relieve = relieve;
	client = connect_one(&f);
	f.spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	exhaust(&old);
	run_for(&f, STEP_US);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f.calls, 1);
	assert_true(f.reliefs > 0);
	end(&f);
}

/* A resource other than descriptors may be exhausted. */
static void test_taker_says_shortage(void **unused)
{
	struct fixture f;
	autoclose int first = -1, second = -1;

	begin(&f);
	f.result = -ENOMEM;
	first = connect_one(&f);
	second = connect_one(&f);
	run_for(&f, STEP_US);
	assert_int_equal(f.calls, 1);
	assert_true(f.acceptor.is_resting);
	f.result = -EIO;
	run_for(&f, 1500 * USEC_PER_MSEC);
	assert_int_equal(f.calls, 2);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts_and_holds),
		cmocka_unit_test(test_shortage_does_not_spin),
		cmocka_unit_test(test_relief),
		cmocka_unit_test(test_taker_says_shortage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
