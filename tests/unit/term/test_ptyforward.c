// SPDX-License-Identifier: LGPL-2.1-or-later
/* The forwarder between two terminals: keys, frames, window sizes, and restoring the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/fd.h"
#include "lib/time.h"
#include "term/ptyforward.h"

#define STEP_US (30 * USEC_PER_MSEC)

struct fixture {
	struct event_loop *loop;
	struct ptyforward *forward;
	struct event_timer timer;
	int person, terminal; /* master and slave of the caller's terminal */
	int stream, machine;  /* redd's end and the machine's */
	char keys[8];
	unsigned hangups;
};

static int on_key(char key, void *userdata)
{
	struct fixture *f = userdata;

	f->keys[strlen(f->keys)] = key;
	return 0;
}

static bool on_hangup(void *userdata)
{
	struct fixture *f = userdata;

	f->hangups++;
	return false;
}

static int on_timer(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

/* Lets the forwarder run until it would block. */
static void run(struct fixture *f)
{
	event_arm_timer(f->loop, &f->timer, time_monotonic_us() + STEP_US);
	assert_int_equal(event_run(f->loop), 0);
}

static void begin(struct fixture *f, bool framed, bool hotkeys)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	struct ptyforward_config config = {.framed = framed,
					   .hotkeys = hotkeys,
					   .userdata = f,
					   .on_key = on_key,
					   .on_hangup = on_hangup};
	int pair[2];

	*f = (struct fixture){.timer = {.fn = on_timer}};
	assert_int_equal(openpty(&f->person, &f->terminal, NULL, NULL, &size), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->stream = config.stream = pair[0];
	f->machine = pair[1];
	config.input = config.output = f->terminal;
	assert_int_equal(event_loop_new(&f->loop), 0);
	assert_int_equal(ptyforward_new(f->loop, &config, &f->forward), 0);
}

static void end(struct fixture *f)
{
	ptyforward_free(f->forward);
	event_loop_free(f->loop);
	(void)close(f->person);
	(void)close(f->terminal);
	(void)close(f->stream);
	(void)close(f->machine);
}

static void type(struct fixture *f, const char *data, size_t size)
{
	assert_int_equal(write(f->person, data, size), size);
	run(f);
}

static void expect_at(int fd, const char *data, size_t size)
{
	char got[256] = {};
	ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);

	assert_int_equal(n < 0 ? 0 : n, size);
	assert_memory_equal(got, data, size);
}

static void test_both_ways(void **unused)
{
	struct fixture f;
	char got[16] = {};

	begin(&f, false, false);
	type(&f, "ls\r", 3);
	expect_at(f.machine, "ls\r", 3);
	assert_int_equal(write(f.machine, "a\nb", 3), 3);
	run(&f);
	/* Raw: the terminal adds no carriage return. */
	assert_int_equal(read(f.person, got, sizeof(got)), 3);
	assert_string_equal(got, "a\nb");
	assert_true(ptyforward_had_input(f.forward));
	assert_int_equal(f.hangups, 0);
	end(&f);
}

/* security row: T04 */
static void test_terminal_is_restored(void **unused)
{
	struct termios raw, after;
	struct fixture f;

	begin(&f, false, false);
	assert_int_equal(tcgetattr(f.terminal, &raw), 0);
	assert_false(raw.c_lflag & (ICANON | ECHO | ISIG));
	ptyforward_free(f.forward);
	f.forward = NULL;
	assert_int_equal(tcgetattr(f.terminal, &after), 0);
	assert_true((after.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG));
	assert_true(after.c_oflag & OPOST);
	/* The file description, shared with the calling shell, must not become non-blocking. */
	assert_false(fcntl(f.terminal, F_GETFL) & O_NONBLOCK);
	end(&f);
}

static void test_frames(void **unused)
{
	static const char size[] = {'w', 0, 4, 0, 24, 0, 80}, data[] = {'d', 0, 2, 'h', 'i'};
	struct winsize bigger = {.ws_row = 50, .ws_col = 300};
	static const char resized[] = {'w', 0, 4, 0, 50, 1, 44};
	struct fixture f;

	begin(&f, true, false);
	run(&f);
	expect_at(f.machine, size, sizeof(size));
	type(&f, "hi", 2);
	expect_at(f.machine, data, sizeof(data));
	assert_int_equal(ioctl(f.person, TIOCSWINSZ, &bigger), 0);
	ptyforward_resize(f.forward);
	expect_at(f.machine, resized, sizeof(resized));
	end(&f);
}

/*
 * security row: T05
 * attack: keys that detach, typed or pasted
 * defence: only three times within a second, and never from the machine's output
 */
static void test_keys(void **unused)
{
	struct fixture f;

	begin(&f, false, false);
	type(&f, "\x1d\x1d", 2);
	type(&f, "x\x1d\x1d", 3);
	assert_string_equal(f.keys, "");
	type(&f, "\x1d", 1);
	assert_string_equal(f.keys, "]");
	type(&f, "\x1d\x1dr", 3);
	assert_string_equal(f.keys, "]");
	type(&f, "\x1d", 1);
	/* Not within a second. */
	(void)usleep(1100 * 1000);
	type(&f, "\x1d\x1d", 2);
	assert_string_equal(f.keys, "]");
	end(&f);
	begin(&f, false, true);
	type(&f, "\x1d\x1dr\x1d\x1dp\x1d\x1d\x1d", 9);
	assert_string_equal(f.keys, "rp]");
	end(&f);
}

static void test_hangup(void **unused)
{
	struct fixture f;

	begin(&f, false, false);
	assert_int_equal(write(f.machine, "bye", 3), 3);
	assert_int_equal(shutdown(f.machine, SHUT_RDWR), 0);
	run(&f);
	assert_int_equal(f.hangups, 1);
	end(&f);
}

/*
 * security row: T03
 * attack: nobody reads the terminal, or a client doesn't read
 * defence: the machine's output waits in bounded queues; keys still work
 */
static void test_stuck_terminal(void **unused)
{
	char block[4096] = {};
	struct fixture f;
	size_t sent = 0, before;
	ssize_t n;

	begin(&f, false, false);
	assert_int_equal(fd_set_nonblock(f.machine, true), 0);
	/* Until it accepts no more. */
	do {
		before = sent;
		while ((n = write(f.machine, block, sizeof(block))) > 0)
			sent += (size_t)n;
		run(&f);
	} while (sent > before && sent < 2 * 1024 * 1024);
	assert_true(sent < 2 * 1024 * 1024);
	/* Keys still work. */
	type(&f, "\x1d\x1d\x1d", 3);
	assert_string_equal(f.keys, "]");
	end(&f);
}

/* A process that is left behind can write for ever. security row: X19 */
static void test_drain_is_bounded(void **unused)
{
	static char data[1 << 20];
	struct ptyforward_config config = {.input = -1, .output = -1, .on_hangup = on_hangup};
	struct fixture f = {};
	int ends[2], before, after;

	config.userdata = &f;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, sizeof(data)) >= 0);
	assert_int_equal(write(ends[1], data, sizeof(data)), sizeof(data));
	config.stream = ends[0];
	assert_int_equal(event_loop_new(&f.loop), 0);
	assert_int_equal(ptyforward_new(f.loop, &config, &f.forward), 0);
	assert_int_equal(ioctl(ends[0], FIONREAD, &before), 0);
	ptyforward_drain(f.forward);
	assert_int_equal(ioctl(ends[0], FIONREAD, &after), 0);
	assert_true(before - after > 0);
	assert_true(before - after <= 128 * 1024);
	ptyforward_free(f.forward);
	event_loop_free(f.loop);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_no_descriptor_is_leaked(void **unused)
{
	int before = fd_count();
	struct fixture f;

	begin(&f, true, true);
	end(&f);
	assert_int_equal(fd_count(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_terminal_is_restored),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_hangup),
		cmocka_unit_test(test_stuck_terminal),
		cmocka_unit_test(test_drain_is_bounded),
		cmocka_unit_test(test_no_descriptor_is_leaked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
