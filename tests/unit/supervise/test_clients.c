/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attached consoles: their output, how much is queued for one that doesn't read, and their input.
 */
#include <sys/socket.h>

#include "check.h"
#include "lib/event.h"
#include "lib/time.h"
#include "supervise/clients.h"

#define STEP_US (20 * USEC_PER_MSEC)

struct fixture {
	struct event_loop *loop;
	struct event_timer timer;
	struct console_clients *clients;
	struct scrollback back;
	char typed[64 * 1024];
	size_t typed_size;
	size_t hold_at; /* the number of bytes the guest accepts */
	uint16_t rows, columns;
};

static void on_input(void *userdata, const void *data, size_t size)
{
	struct fixture *f = userdata;

	assert_true(f->typed_size + size <= sizeof(f->typed));
	memcpy(f->typed + f->typed_size, data, size);
	f->typed_size += size;
	if (f->hold_at && f->typed_size >= f->hold_at)
		console_clients_hold(f->clients, true);
}

static void on_resize(void *userdata, uint16_t rows, uint16_t columns)
{
	struct fixture *f = userdata;

	f->rows = rows;
	f->columns = columns;
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

static void run(struct fixture *f)
{
	run_for(f, STEP_US);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->timer = (struct event_timer){.fn = on_timer, .due_us = USEC_INFINITY};
	assert_int_equal(event_loop_new(&f->loop), 0);
	assert_int_equal(console_clients_new(f->loop, on_input, on_resize, f, &f->clients), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	console_clients_free(f->clients);
	scrollback_done(&f->back);
	event_loop_free(f->loop);
	free(f);
	return 0;
}

/* The client's end. */
static int attach(struct fixture *f)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(console_clients_add(f->clients, ends[1], &f->back), 0);
	return ends[0];
}

static bool is_dropped(int fd)
{
	char data[4096];
	ssize_t n;

	do
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || errno != EAGAIN;
}

static void expect(int fd, const char *text)
{
	char data[256] = {};

	assert_int_equal(recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(data, text);
}

static void test_scrollback_then_stream(void **state)
{
	struct fixture *f = *state;
	autoclose int first = -1, second = -1;

	scrollback_add(&f->back, "before", 6);
	first = attach(f);
	console_clients_send(f->clients, "now", 3);
	expect(first, "beforenow");
	second = attach(f);
	console_clients_send(f->clients, "later", 5);
	expect(first, "later");
	expect(second, "beforelater");
}

static void test_scrollback_is_bounded(void **state)
{
	struct fixture *f = *state;
	autofree char *data = malloc(3 * SCROLLBACK_MAX);

	assert_non_null(data);
	for (size_t i = 0; i < 3 * SCROLLBACK_MAX; i++)
		data[i] = (char)(i / 1000);
	scrollback_add(&f->back, data, 100);
	scrollback_add(&f->back, data, 2 * SCROLLBACK_MAX + 7);
	assert_int_equal(f->back.size, SCROLLBACK_MAX);
	for (size_t i = 0; i < SCROLLBACK_MAX; i++)
		assert_int_equal(f->back.data[(f->back.start + i) % SCROLLBACK_MAX],
				 data[SCROLLBACK_MAX + 7 + i]);
}

/*
 * security row: R22
 * attack: a console client that reads nothing makes the supervisor store its output without limit
 * defence: its queue is bounded; beyond that it is dropped
 */
static void test_lagging_client_is_dropped(void **state)
{
	struct fixture *f = *state;
	autoclose int slow = attach(f), quick = attach(f);
	char data[4096] = {};

	/* Fill the socket and the queue. */
	for (int i = 0; i < 1000; i++) {
		console_clients_send(f->clients, data, sizeof(data));
		while (recv(quick, data, sizeof(data), MSG_DONTWAIT) > 0)
			;
	}
	run(f);
	assert_true(is_dropped(slow));
	assert_false(is_dropped(quick));
}

/* A client that always lags a little gets everything. */
static void test_lagging_a_little(void **state)
{
	struct fixture *f = *state;
	autoclose int client = attach(f);
	size_t sent = 0, received = 0;
	unsigned char data[4096];

	for (int i = 0; i < 1000; i++) {
		for (size_t k = 0; k < 1024; k++)
			data[k] = (unsigned char)((sent + k) / 1024 * 7);
		console_clients_send(f->clients, data, 1024);
		sent += 1024;
		/* More than the socket holds is queued. */
		while (sent - received > 200 * 1024) {
			ssize_t n = recv(client, data, sizeof(data), 0);

			assert_true(n > 0);
			for (ssize_t k = 0; k < n; k++)
				assert_int_equal(data[k], (unsigned char)((received + (size_t)k) /
									  1024 * 7));
			received += (size_t)n;
			run_for(f, USEC_PER_MSEC / 2);
		}
	}
	assert_false(is_dropped(client));
}

static void test_frames(void **state)
{
	struct fixture *f = *state;
	autoclose int client = attach(f), liar = attach(f);

	/* In pieces, two at once, an unknown type. */
	assert_int_equal(send(client, "d\0\3a", 4, 0), 4);
	run(f);
	assert_int_equal(f->typed_size, 0);
	assert_int_equal(send(client, "bcx\0\1?d\0\1d", 10, 0), 10);
	assert_int_equal(send(client, "w\0\4\0\x19\1\0", 7, 0), 7);
	run(f);
	assert_int_equal(f->typed_size, 4);
	assert_memory_equal(f->typed, "abcd", 4);
	assert_int_equal(f->rows, 25);
	assert_int_equal(f->columns, 256);
	assert_int_equal(send(liar, "d\xff\xff", 3, 0), 3);
	run(f);
	assert_true(is_dropped(liar));
	assert_false(is_dropped(client));
}

static size_t type_all(int fd, size_t count)
{
	char frame[3 + 1000] = {'d', 1000 >> 8, (char)(1000 & 0xff)};
	size_t i = 0;

	while (i < count && send(fd, frame, sizeof(frame), MSG_DONTWAIT) == sizeof(frame))
		memset(frame + 3, (int)(++i), 1000);
	return i;
}

/* security row: R21 */
static void test_held_input_waits(void **state)
{
	struct fixture *f = *state;
	autoclose int client = attach(f);
	uint64_t began;

	f->hold_at = 5000;
	assert_int_equal(type_all(client, 40), 40);
	run(f);
	assert_int_equal(f->typed_size, 5000);
	/* Its output continues; it may detach, and its input stays valid. */
	console_clients_send(f->clients, "out", 3);
	expect(client, "out");
	(void)close(take_fd(&client));
	began = time_monotonic_us();
	run(f);
	console_clients_send(f->clients, "nobody", 6);
	run(f);
	assert_true(time_monotonic_us() - began >= STEP_US);
	assert_int_equal(f->typed_size, 5000);
	f->hold_at = 20000;
	console_clients_hold(f->clients, false);
	run(f);
	assert_int_equal(f->typed_size, 20000);
	f->hold_at = 0;
	console_clients_hold(f->clients, false);
	run(f);
	assert_int_equal(f->typed_size, 40000);
	for (size_t i = 0; i < 40000; i++)
		assert_int_equal(f->typed[i], i / 1000);
}

static void test_places(void **state)
{
	struct fixture *f = *state;
	int fds[CLIENTS_MAX], ends[2];

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		fds[i] = attach(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(console_clients_add(f->clients, ends[1], &f->back), -EBUSY);
	assert_true(is_dropped(ends[0]));
	(void)close(ends[0]);
	(void)close(fds[3]);
	run(f);
	fds[3] = attach(f);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		(void)close(fds[i]);
}

#define client_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		client_test(test_scrollback_then_stream),
		client_test(test_scrollback_is_bounded),
		client_test(test_lagging_client_is_dropped),
		client_test(test_lagging_a_little),
		client_test(test_frames),
		client_test(test_held_input_waits),
		client_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
