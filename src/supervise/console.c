/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The console of a machine. Output goes from the pty to the log, a bounded scrollback, the caller's
 * terminal and attached clients; what those type goes to the pty. Must never block the supervisor:
 * a slow client is dropped. If the caller of `run` doesn't read, or the guest doesn't, the writer
 * at the other end waits, as at any terminal (T02, T03). Supervisor's side.
 */
#include "supervise/console.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "lib/backlog.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/outlet.h"
#include "lib/time.h"
#include "log/log.h"
#include "supervise/clients.h"

#define READ_SIZE 4096
/* Per wake-up, so that a flood of output doesn't starve the rest of the loop. */
#define READS_MAX 64
/* Output that the caller has not read yet. More than a pty holds: nothing is lost at the end. */
#define OUTPUT_MAX (256 * 1024)
/*
 * Input that the guest has not read yet. Above this limit no input is read; below it the supervisor
 * still sees the keys that leave, even if the guest reads nothing.
 */
#define TYPED_MAX (64 * 1024)
/* Epoll may fail to watch standard input, for lack of memory for example. */
#define INPUT_RETRY_US (100 * USEC_PER_MSEC)
/* An unfinished line ("login: ") is logged after this much silence. */
#define FLUSH_US (500 * USEC_PER_MSEC)
/* ^] three times within a second. Source: systemd-nspawn(1). */
#define ESCAPE_BYTE 0x1d
#define ESCAPE_COUNT 3
#define ESCAPE_US USEC_PER_SEC

struct console {
	struct console_options options;
	int pty_fd;
	struct console_clients *clients;
	struct event_timer flush_timer;
	struct event_timer read_timer;
	struct scrollback scrollback;
	struct backlog typed; /* on its way to the guest */
	bool is_held;	      /* no input is read until the guest has taken some */
	/* the caller's terminal */
	struct outlet output;
	struct event_timer input_timer;
	int input_fd; /* -1: none, or it has ended */
	bool is_raw;
	struct termios saved;
	unsigned escapes;
	uint64_t escape_since_us;
};

static int on_flush_due(struct event_loop *loop, void *userdata)
{
	struct console *console = userdata;

	consolelog_flush(console->options.log);
	return 0;
}

static void log_output(struct console *console, const char *data, size_t size)
{
	if (!console->options.log)
		return;
	consolelog_write(console->options.log, data, size);
	if (consolelog_pending(console->options.log))
		event_arm_timer(console->options.loop, &console->flush_timer,
				time_monotonic_us() + FLUSH_US);
	else
		event_disarm_timer(console->options.loop, &console->flush_timer);
}

static void distribute(struct console *console, const char *data, size_t size)
{
	log_output(console, data, size);
	if (console->options.keeps_scrollback)
		scrollback_add(&console->scrollback, data, size);
	console_clients_send(console->clients, data, size);
	(void)outlet_write(&console->output, data, size);
}

/* 1: something was read; 0: nothing more for now; -EIO and others: the guest's side is closed. */
static int read_master(struct console *console)
{
	char data[READ_SIZE];
	ssize_t n = read(console->pty_fd, data, sizeof(data));

	if (n > 0) {
		distribute(console, data, (size_t)n);
		return 1;
	}
	if (n == 0)
		return -EIO;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/*
 * Stops while the caller of `run` has output left to read: then the pty fills up and the guest's
 * writer waits. Stops after READS_MAX too, and goes on once other events have had their turn.
 */
static void read_output(struct console *console)
{
	for (int reads = 0; reads < READS_MAX; reads++)
		if (!outlet_is_empty(&console->output) || read_master(console) <= 0)
			return;
	event_arm_timer(console->options.loop, &console->read_timer, time_monotonic_us());
}

static int on_read_again(struct event_loop *loop, void *userdata)
{
	struct console *console = userdata;

	if (console->pty_fd >= 0)
		read_output(console);
	return 0;
}

static void on_output_empty(void *userdata)
{
	(void)on_read_again(NULL, userdata);
}

static int on_input(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static void watch_input(struct console *console)
{
	struct event_loop *loop = console->options.loop;

	if (console->input_fd < 0)
		return;
	if (event_add_fd(loop, console->input_fd, EPOLLIN, on_input, console) < 0)
		event_arm_timer(loop, &console->input_timer, time_monotonic_us() + INPUT_RETRY_US);
}

static int on_input_retry(struct event_loop *loop, void *userdata)
{
	struct console *console = userdata;

	if (!console->is_held)
		watch_input(console);
	return 0;
}

/* Remove the source instead of changing it: epoll would report a hang-up again and again. */
static void hold_input(struct console *console, bool on)
{
	if (console->is_held == on)
		return;
	console->is_held = on;
	event_disarm_timer(console->options.loop, &console->input_timer);
	if (!on)
		watch_input(console);
	else if (console->input_fd >= 0)
		event_remove_fd(console->options.loop, console->input_fd);
	console_clients_hold(console->clients, on);
}

/* Writes as much as the guest reads. */
static void flush_typed(struct console *console)
{
	while (backlog_size(&console->typed) > 0) {
		ssize_t n = write(console->pty_fd, backlog_data(&console->typed),
				  backlog_size(&console->typed));

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == EAGAIN))
			break;
		if (n < 0)
			backlog_done(&console->typed);
		else
			backlog_drop(&console->typed, (size_t)n);
	}
	hold_input(console, backlog_size(&console->typed) >= TYPED_MAX);
}

/* Between two boots there is nobody to type to. */
static void type(struct console *console, const void *data, size_t size)
{
	if (console->pty_fd < 0)
		return;
	/* Whoever types does so in pieces of READ_SIZE, and only while input is not held. */
	(void)backlog_add(&console->typed, data, size, TYPED_MAX + READ_SIZE);
	flush_typed(console);
}

/*
 * EIO: for now no process of the guest holds the console. It may be opened again, and epoll would
 * report the hang-up for ever: edge-triggered, so that a new opener wakes us and a hung-up terminal
 * does not. Nor does a guest that takes its input, where none is waiting.
 */
static int on_master(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct console *console = userdata;

	if (backlog_size(&console->typed) > 0)
		flush_typed(console);
	read_output(console);
	return 0;
}

static int watch_master(struct console *console)
{
	int r = fd_set_nonblock(console->pty_fd, true);

	if (r >= 0)
		r = event_add_fd(console->options.loop, console->pty_fd,
				 EPOLLIN | EPOLLOUT | EPOLLET, on_master, console);
	return r < 0 ? log_errno(r, "watch the console of machine %s", console->options.machine)
		     : 0;
}

void console_resize_from_terminal(struct console *console)
{
	struct winsize size;

	if (console->is_raw && console->pty_fd >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(console->pty_fd, TIOCSWINSZ, &size);
}

/* True when the person has asked to leave. Earlier escape bytes have gone to the guest. */
static bool sees_escape(struct console *console, const char *data, size_t size)
{
	uint64_t now = time_monotonic_us();

	for (size_t i = 0; i < size; i++) {
		if (data[i] != ESCAPE_BYTE) {
			console->escapes = 0;
			continue;
		}
		if (console->escapes == 0 || now - console->escape_since_us > ESCAPE_US) {
			console->escapes = 0;
			console->escape_since_us = now;
		}
		if (++console->escapes == ESCAPE_COUNT)
			return true;
	}
	return false;
}

static void close_input(struct console *console)
{
	if (console->input_fd < 0)
		return;
	event_disarm_timer(console->options.loop, &console->input_timer);
	event_remove_fd(console->options.loop, console->input_fd);
	if (console->input_fd != STDIN_FILENO)
		(void)close(console->input_fd);
	console->input_fd = -1;
}

static int on_input(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct console *console = userdata;
	char data[READ_SIZE];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		close_input(console);
		return 0;
	}
	if (sees_escape(console, data, (size_t)n)) {
		console->options.on_leave(console->options.userdata);
		return 0;
	}
	type(console, data, (size_t)n);
	return 0;
}

static void make_raw(struct console *console)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &console->saved) < 0)
		return;
	raw = console->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0)
		console->is_raw = true;
}

static int open_input(struct console *console)
{
	int own = fd_reopen_nonblock(STDIN_FILENO, O_RDONLY);
	int r;

	console->input_fd = own < 0 ? STDIN_FILENO : own;
	r = event_add_fd(console->options.loop, console->input_fd, EPOLLIN, on_input, console);
	if (r >= 0)
		return 0;
	close_input(console);
	/* Epoll doesn't take regular files. Their content isn't forwarded. */
	return r == -EPERM ? 0 : log_errno(r, "watch the terminal");
}

static int open_terminal(struct console *console)
{
	enum spec_console mode = console->options.mode;
	bool has_output = mode == SPEC_CONSOLE_INTERACTIVE || mode == SPEC_CONSOLE_READ_ONLY;
	int r;

	if (has_output)
		outlet_open(&console->output, STDOUT_FILENO, OUTPUT_MAX);
	else
		outlet_open_own(&console->output, -1, 0);
	console->output.on_empty = on_output_empty;
	console->output.userdata = console;
	outlet_attach(&console->output, console->options.loop);
	if (mode != SPEC_CONSOLE_INTERACTIVE)
		return 0;
	r = open_input(console);
	if (r >= 0)
		make_raw(console);
	return r;
}

static void on_client_input(void *userdata, const void *data, size_t size)
{
	type(userdata, data, size);
}

static void on_client_resize(void *userdata, uint16_t rows, uint16_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	struct console *console = userdata;

	if (console->pty_fd >= 0 && rows > 0 && columns > 0)
		(void)ioctl(console->pty_fd, TIOCSWINSZ, &size);
}

int console_new(const struct console_options *options, struct console **ret)
{
	struct console *console = calloc(1, sizeof(*console));
	int r;

	if (!console)
		return log_oom();
	console->options = *options;
	console->pty_fd = console->input_fd = console->output.fd = -1;
	console->flush_timer = (struct event_timer){
		.due_us = USEC_INFINITY, .fn = on_flush_due, .userdata = console};
	console->read_timer = (struct event_timer){
		.due_us = USEC_INFINITY, .fn = on_read_again, .userdata = console};
	console->input_timer = (struct event_timer){
		.due_us = USEC_INFINITY, .fn = on_input_retry, .userdata = console};
	r = console_clients_new(options->loop, on_client_input, on_client_resize, console,
				&console->clients);
	if (r >= 0)
		r = open_terminal(console);
	if (r < 0) {
		console_free(console);
		return r;
	}
	*ret = console;
	return 0;
}

int console_connect(struct console *console, int pty_fd)
{
	int r;

	console->pty_fd = pty_fd;
	if (pty_fd < 0)
		return 0;
	console_resize_from_terminal(console);
	r = watch_master(console);
	/* It is not non-blocking, so a read could block. */
	if (r < 0)
		cleanup_close(&console->pty_fd);
	return r;
}

void console_disconnect(struct console *console)
{
	if (console->pty_fd < 0)
		return;
	event_remove_fd(console->options.loop, console->pty_fd);
	/* Bounded, in case a process of the host keeps writing to it. */
	for (int reads = 0; reads < READS_MAX && read_master(console) > 0; reads++)
		;
	if (console->options.log)
		consolelog_flush(console->options.log);
	event_disarm_timer(console->options.loop, &console->flush_timer);
	event_disarm_timer(console->options.loop, &console->read_timer);
	(void)close(take_fd(&console->pty_fd));
	backlog_done(&console->typed);
	hold_input(console, false);
}

void console_finish(struct console *console, int stop_fd, int timeout_ms)
{
	outlet_finish(&console->output, stop_fd, timeout_ms);
}

void console_free(struct console *console)
{
	if (!console)
		return;
	console_disconnect(console);
	close_input(console);
	outlet_close(&console->output);
	if (console->is_raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &console->saved);
	console_clients_free(console->clients);
	scrollback_done(&console->scrollback);
	free(console);
}

int console_add_client(struct console *console, int fd, uint16_t rows, uint16_t columns)
{
	const struct scrollback *back = &console->scrollback;
	int r = console_clients_add(console->clients, fd, back);

	if (r >= 0)
		on_client_resize(console, rows, columns);
	return r;
}
