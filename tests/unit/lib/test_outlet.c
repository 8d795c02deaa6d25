/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes to readers that don't read, come back, or are gone. */
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "check.h"
#include "lib/outlet.h"
#include "lib/time.h"

#define STEP_US (30 * USEC_PER_MSEC)
#define WAITS_MAX (64 * 1024)

struct fixture {
	struct event_loop *loop;
	struct event_timer timer;
	struct outlet outlet;
	int reader, writer;
	unsigned empties;
};

static int on_timer(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

static void on_empty(void *userdata)
{
	((struct fixture *)userdata)->empties++;
}

static void run(struct fixture *f)
{
	event_arm_timer(f->loop, &f->timer, time_monotonic_us() + STEP_US);
	assert_int_equal(event_run(f->loop), 0);
}

static void begin(struct fixture *f, const int ends[2])
{
	*f = (struct fixture){
		.timer = {.fn = on_timer, .due_us = USEC_INFINITY},
		.reader = ends[0],
		.writer = ends[1],
	};
	assert_int_equal(event_loop_new(&f->loop), 0);
	outlet_open(&f->outlet, f->writer, WAITS_MAX);
	f->outlet.on_empty = on_empty;
	f->outlet.userdata = f;
	outlet_attach(&f->outlet, f->loop);
}

static void end(struct fixture *f)
{
	outlet_close(&f->outlet);
	event_loop_free(f->loop);
	if (f->reader >= 0)
		(void)close(f->reader);
	(void)close(f->writer);
}

static void begin_pipe(struct fixture *f)
{
	int ends[2];

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fd_set_nonblock(ends[0], true), 0);
	begin(f, ends);
}

/* Writes numbered words until one is queued; returns the number of bytes. */
static size_t fill(struct fixture *f)
{
	size_t size = 0;
	char word[17];

	while (outlet_is_empty(&f->outlet)) {
		(void)snprintf(word, sizeof(word), "%08zx", size);
		assert_int_equal(outlet_write(&f->outlet, word, 8), 0);
		size += 8;
	}
	return size;
}

static void read_all(struct fixture *f, size_t size)
{
	for (size_t done = 0; done < size; done += 8) {
		char word[17] = {}, expected[17];

		while (read(f->reader, word, 8) < 0) {
			assert_int_equal(errno, EAGAIN);
			run(f);
		}
		(void)snprintf(expected, sizeof(expected), "%08zx", done);
		assert_string_equal(word, expected);
	}
}

static void check_goes_on(struct fixture *f)
{
	size_t size = fill(f);

	run(f);
	assert_false(outlet_is_empty(&f->outlet));
	assert_int_equal(f->empties, 0);
	read_all(f, size);
	run(f);
	assert_true(outlet_is_empty(&f->outlet));
	assert_int_equal(f->empties, 1);
}

/* security row: R20 */
static void test_pipe(void **unused)
{
	struct fixture f;

	begin_pipe(&f);
	check_goes_on(&f);
	/* All who share the pipe share its flags. */
	assert_false(fcntl(f.writer, F_GETFL) & O_NONBLOCK);
	end(&f);
}

static void test_socket(void **unused)
{
	struct fixture f;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fd_set_nonblock(ends[0], true), 0);
	begin(&f, ends);
	check_goes_on(&f);
	end(&f);
}

static void test_bound(void **unused)
{
	char data[4096] = {};
	struct fixture f;
	int r = 0;

	begin_pipe(&f);
	for (int i = 0; i < 1000 && r == 0; i++)
		r = outlet_write(&f.outlet, data, sizeof(data));
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(f.outlet.lost, 1);
	assert_true(backlog_size(&f.outlet.backlog) <= WAITS_MAX);
	end(&f);
}

static void test_reader_is_gone(void **unused)
{
	struct fixture f;

	begin_pipe(&f);
	(void)fill(&f);
	(void)close(f.reader);
	f.reader = -1;
	run(&f);
	assert_true(outlet_is_empty(&f.outlet));
	assert_int_equal(f.empties, 1);
	assert_int_equal(outlet_write(&f.outlet, "x", 1), 0);
	end(&f);
	begin_pipe(&f);
	(void)close(f.reader);
	f.reader = -1;
	assert_int_equal(outlet_write(&f.outlet, "x", 1), -EPIPE);
	end(&f);
}

/* Reopening the file must not write at its beginning. */
static void test_file(void **state)
{
	const struct scratch *s = *state;
	autoclose int fd = openat(s->fd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct outlet outlet;
	char data[16] = {};

	assert_int_equal(write(fd, "ab", 2), 2);
	outlet_open(&outlet, fd, 100);
	assert_int_equal(outlet_write(&outlet, "cd", 2), 0);
	assert_true(outlet_is_empty(&outlet));
	outlet_close(&outlet);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 4);
	assert_string_equal(data, "abcd");
}

static void test_without_loop(void **unused)
{
	struct fixture f;
	size_t size;

	begin_pipe(&f);
	outlet_attach(&f.outlet, NULL);
	size = fill(&f);
	outlet_attach(&f.outlet, f.loop);
	read_all(&f, size);
	end(&f);
}

static void test_finish(void **unused)
{
	autoclose int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct fixture f;
	char data[65536];

	begin_pipe(&f);
	(void)fill(&f);
	/* Nobody reads: each of these ends the wait, and nothing is lost. */
	outlet_finish(&f.outlet, -1, 20);
	assert_int_equal(eventfd_write(stop, 1), 0);
	outlet_finish(&f.outlet, stop, -1);
	assert_false(outlet_is_empty(&f.outlet));
	assert_true(read(f.reader, data, sizeof(data)) > 0);
	outlet_finish(&f.outlet, -1, -1);
	assert_true(outlet_is_empty(&f.outlet));
	end(&f);
}

/* If the descriptor can't be watched, writing is retried. */
static void test_epoll_fails(void **unused)
{
	char data[65536];
	struct fixture f;

	begin_pipe(&f);
	/* The descriptor already has an event source; there can't be a second. */
	assert_int_equal(event_add_fd(f.loop, f.outlet.fd, 0, NULL, NULL), 0);
	(void)fill(&f);
	assert_false(f.outlet.is_watched);
	assert_true(read(f.reader, data, sizeof(data)) > 0);
	for (int i = 0; i < 100 && !outlet_is_empty(&f.outlet); i++)
		run(&f);
	assert_true(outlet_is_empty(&f.outlet));
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),   cmocka_unit_test(test_socket),
		cmocka_unit_test(test_bound),  cmocka_unit_test(test_reader_is_gone),
		scratch_test(test_file),       cmocka_unit_test(test_without_loop),
		cmocka_unit_test(test_finish), cmocka_unit_test(test_epoll_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
