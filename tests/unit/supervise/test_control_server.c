/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: who is answered, limits, and that nobody is locked out. */
#include <json-c/json.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/event.h"
#include "lib/time.h"
#include "machine/control.h"
#include "supervise/control_server.h"

#define STEP_US (20 * USEC_PER_MSEC)

struct fixture {
	struct scratch *scratch;
	struct event_loop *loop;
	struct event_timer timer;
	struct control_server *server;
	unsigned calls;
	int handed_over;
};

static int method_echo(struct control_connection *c, void *userdata, struct json_object *in,
		       struct json_object **out)
{
	((struct fixture *)userdata)->calls++;
	*out = in ? json_object_get(in) : NULL;
	return 0;
}

static int method_fail(struct control_connection *c, void *userdata, struct json_object *in,
		       struct json_object **out)
{
	if (in)
		control_fail_as(c, "x.Special");
	return -EIO;
}

static int method_take(struct control_connection *c, void *userdata, struct json_object *in,
		       struct json_object **out)
{
	((struct fixture *)userdata)->handed_over = control_hand_over(c);
	return 0;
}

static const struct control_method methods[] = {
	{"x.Echo", method_echo},
	{"x.Fail", method_fail},
	{"x.Take", method_take},
};

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
	assert_int_equal(scratch_setup((void **)&f->scratch), 0);
	f->timer = (struct event_timer){.fn = on_timer, .due_us = USEC_INFINITY};
	f->handed_over = -1;
	assert_int_equal(event_loop_new(&f->loop), 0);
	assert_int_equal(control_server_new(f->loop, f->scratch->fd, methods, ARRAY_SIZE(methods),
					    f, &f->server),
			 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_server_free(f->server);
	control_server_free(NULL);
	event_loop_free(f->loop);
	assert_int_equal(scratch_teardown((void **)&f->scratch), 0);
	free(f);
	return 0;
}

static int connect_one(struct fixture *f)
{
	int fd = control_connect(f->scratch->fd);

	assert_true(fd >= 0);
	run(f);
	return fd;
}

static void say(int fd, const char *message)
{
	assert_int_equal(send(fd, message, strlen(message) + 1, MSG_NOSIGNAL), strlen(message) + 1);
}

static void expect(struct fixture *f, int fd, const char *message)
{
	char data[512] = {};

	run(f);
	assert_int_equal(recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT), strlen(message) + 1);
	assert_string_equal(data, message);
}

static bool is_ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void test_calls(void **state)
{
	struct fixture *f = *state;
	autoclose int fd = connect_one(f);

	say(fd, "{\"method\":\"x.Echo\",\"parameters\":{\"a\":1}}");
	expect(f, fd, "{\"parameters\":{\"a\":1}}");
	say(fd, "{\"method\":\"x.Fail\"}");
	expect(f, fd, "{\"parameters\":{},\"error\":\"io.redd.Machine.NotAvailable\"}");
	say(fd, "{\"method\":\"x.Fail\",\"parameters\":{}}");
	expect(f, fd, "{\"parameters\":{},\"error\":\"x.Special\"}");
	say(fd, "{\"method\":\"x.None\"}");
	expect(f, fd, "{\"parameters\":{},\"error\":\"org.varlink.service.MethodNotFound\"}");
	/* Two calls at once, then one in pieces. */
	assert_int_equal(send(fd, "{\"method\":\"x.Echo\"}\0{\"method\":\"x.E", 34, 0), 34);
	run(f);
	say(fd, "cho\"}");
	run(f);
	assert_int_equal(f->calls, 3);
}

static void test_hand_over(void **state)
{
	struct fixture *f = *state;
	autoclose int fd = connect_one(f);

	say(fd, "{\"method\":\"x.Take\"}");
	expect(f, fd, "{\"parameters\":{}}");
	assert_true(f->handed_over >= 0);
	assert_int_equal(send(f->handed_over, "stream", 6, 0), 6);
	assert_int_equal(recv(fd, (char[8]){}, 8, MSG_DONTWAIT), 6);
	(void)close(f->handed_over);
}

/* security row: S06 */
static void test_bounds(void **state)
{
	static const char *const bad[] = {"x", "{}", "[]", "{\"method\":1}"};
	struct fixture *f = *state;
	char data[4096];
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = connect_one(f);
		say(fd, bad[i]);
		run(f);
		assert_true(is_ended(fd));
		(void)close(fd);
	}
	/* An endless message. */
	fd = connect_one(f);
	memset(data, ' ', sizeof(data));
	for (size_t i = 0; i < 2 * CONTROL_MESSAGE_MAX / sizeof(data) && !is_ended(fd); i++) {
		(void)send(fd, data, sizeof(data), MSG_NOSIGNAL);
		run(f);
	}
	assert_true(is_ended(fd));
	(void)close(fd);
}

/* A client that does not read its replies. */
static void test_reader_stalls(void **state)
{
	struct fixture *f = *state;
	autoclose int fd = connect_one(f);
	autofree char *call = NULL;
	ssize_t n = 1;
	size_t size;

	size = (size_t)asprintf(&call, "{\"method\":\"x.Echo\",\"parameters\":{\"a\":\"%01000d\"}}",
				0) +
	       1;
	for (int i = 0; i < 2000 && n > 0; i++) {
		n = send(fd, call, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		run_for(f, USEC_PER_MSEC);
	}
	assert_int_equal(n, -1);
	assert_int_equal(errno, EPIPE);
}

/* security row: S07 */
static void test_only_root(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->scratch->path, 0755), 0);
	assert_int_equal(fchmodat(f->scratch->fd, "control", 0666, 0), 0);
	pid = fork();
	if (pid == 0) {
		int fd = setresuid(65534, 65534, 65534) < 0 ? -1 : control_connect(f->scratch->fd);
		char byte;

		if (fd < 0)
			_exit(2);
		(void)send(fd, "{\"method\":\"x.Echo\"}", 20, MSG_NOSIGNAL);
		_exit(recv(fd, &byte, 1, 0) > 0);
	}
	for (int i = 0; i < 10; i++)
		run(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(f->calls, 0);
}

/* security row: S07 */
static void test_idle_connections_give_way(void **state)
{
	enum { MANY = CONTROL_CONNECTIONS_MAX + 8 };
	struct fixture *f = *state;
	int fds[MANY], ended = 0;
	autoclose int last = -1;

	fds[0] = connect_one(f);
	for (int i = 1; i < MANY; i++) {
		fds[i] = connect_one(f);
		/* The first client sends again and again. */
		say(fds[0], "{\"method\":\"x.Echo\"}");
		expect(f, fds[0], "{\"parameters\":{}}");
	}
	last = connect_one(f);
	say(last, "{\"method\":\"x.Echo\"}");
	expect(f, last, "{\"parameters\":{}}");
	assert_false(is_ended(fds[0]));
	for (int i = 1; i < MANY; i++)
		ended += is_ended(fds[i]);
	assert_int_equal(ended, MANY + 1 - CONTROL_CONNECTIONS_MAX);
	assert_true(is_ended(fds[1]));
	for (int i = 0; i < MANY; i++)
		(void)close(fds[i]);
}

#define server_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		server_test(test_calls),     server_test(test_hand_over),
		server_test(test_bounds),    server_test(test_reader_stalls),
		server_test(test_only_root), server_test(test_idle_connections_give_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
