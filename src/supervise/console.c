/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The console of a machine: what its master says goes to the log, to a bounded back-scroll, to the
 * caller's terminal and to attached clients; what those type goes in. Nobody can hold it up: a slow
 * client is let go, and a machine whose console nobody reads runs on (T02, T03).
 * Supervisor's side.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/time.h"
#include "log/log.h"
#include "supervise/clients.h"
#include "supervise/internal.h"

#define READ_SIZE 4096
/* Per wake-up, so that a flood can't keep the loop from its other work. */
#define READS_MAX 64
/* An unfinished line ("login: ") is logged when the console has been silent for so long. */
#define FLUSH_US (500 * USEC_PER_MSEC)
/* ^] three times within a second. Source: systemd-nspawn(1). */
#define ESCAPE_BYTE 0x1d
#define ESCAPE_COUNT 3
#define ESCAPE_US USEC_PER_SEC

struct console {
	struct supervisor *s;
	int pty_fd;
	struct console_clients *clients;
	struct event_timer flush_timer;
	struct scrollback scrollback;
	/* the caller's terminal */
	bool has_output;
	bool has_input;
	bool is_raw;
	struct termios saved;
	unsigned escapes;
	uint64_t escape_since_us;
};

static int flush_log(struct event_loop *loop, void *userdata)
{
	struct console *console = userdata;

	consolelog_flush(console->s->log);
	return 0;
}

static void log_output(struct console *console, const char *data, size_t size)
{
	if (!console->s->log)
		return;
	consolelog_write(console->s->log, data, size);
	if (consolelog_pending(console->s->log))
		event_arm_timer(console->s->loop, &console->flush_timer,
				time_monotonic_us() + FLUSH_US);
	else
		event_disarm_timer(console->s->loop, &console->flush_timer);
}

static void spread(struct console *console, const char *data, size_t size)
{
	log_output(console, data, size);
	if (console->s->spec->managed)
		scrollback_add(&console->scrollback, data, size);
	console_clients_send(console->clients, data, size);
	if (console->has_output && io_write_all(STDOUT_FILENO, data, size) < 0)
		console->has_output = false;
}

/* 0: nothing more for now; 1: something was read; -EIO and the like: the machine has let go. */
static int read_master(struct console *console)
{
	char data[READ_SIZE];
	ssize_t n = read(console->pty_fd, data, sizeof(data));

	if (n > 0) {
		spread(console, data, (size_t)n);
		return 1;
	}
	if (n == 0)
		return -EIO;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int on_master(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct console *console = userdata;

	/*
	 * EIO: for now no process of the guest holds the console. It may be opened again, and epoll
	 * would report the hang-up for ever: edge-triggered, so that a new opener wakes us and a
	 * hung-up terminal does not.
	 */
	int reads = 0;

	while (reads < READS_MAX && read_master(console) > 0)
		reads++;
	/* There may be more: armed anew, an edge that has passed is reported again. */
	return reads < READS_MAX ? 0 : event_change_fd(loop, fd, EPOLLIN | EPOLLET);
}

static int watch_master(struct console *console)
{
	int r = fd_set_nonblock(console->pty_fd, true);

	if (r >= 0)
		r = event_add_fd(console->s->loop, console->pty_fd, EPOLLIN | EPOLLET, on_master,
				 console);
	return r < 0 ? log_errno(r, "watch the console of machine %s", console->s->spec->machine)
		     : 0;
}

void console_resize_from_terminal(struct console *console)
{
	struct winsize size;

	if (console->is_raw && console->pty_fd >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(console->pty_fd, TIOCSWINSZ, &size);
}

/* True when the person has asked to leave. The bytes on the way are passed on all the same. */
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

/* What the guest does not take at once is dropped, as a terminal without flow control does. */
static void type(int pty_fd, const void *data, size_t size)
{
	if (pty_fd >= 0)
		(void)!write(pty_fd, data, size);
}

static int on_input(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct console *console = userdata;
	char data[READ_SIZE];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		event_remove_fd(loop, fd);
		console->has_input = false;
		return 0;
	}
	if (sees_escape(console, data, (size_t)n)) {
		stop_kill(console->s);
		return 0;
	}
	type(console->pty_fd, data, (size_t)n);
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

static int open_terminal(struct console *console)
{
	enum spec_console mode = console->s->spec->console;
	int r = 0;

	console->has_output = mode == SPEC_CONSOLE_INTERACTIVE || mode == SPEC_CONSOLE_READ_ONLY;
	if (mode != SPEC_CONSOLE_INTERACTIVE)
		return 0;
	r = event_add_fd(console->s->loop, STDIN_FILENO, EPOLLIN, on_input, console);
	/* A regular file can't be waited for: it has no more to say than what a shell would read.
	 */
	if (r < 0 && r != -EPERM)
		return log_errno(r, "watch the terminal");
	console->has_input = r >= 0;
	make_raw(console);
	return 0;
}

static void on_client_input(void *userdata, const void *data, size_t size)
{
	type(((struct console *)userdata)->pty_fd, data, size);
}

static void on_client_resize(void *userdata, uint16_t rows, uint16_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	struct console *console = userdata;

	if (console->pty_fd >= 0 && rows > 0 && columns > 0)
		(void)ioctl(console->pty_fd, TIOCSWINSZ, &size);
}

int console_new(struct supervisor *s, struct console **ret)
{
	struct console *console = calloc(1, sizeof(*console));
	int r;

	if (!console)
		return log_oom();
	console->s = s;
	console->pty_fd = -1;
	console->flush_timer =
		(struct event_timer){.due_us = USEC_INFINITY, .fn = flush_log, .userdata = console};
	r = console_clients_new(s->loop, on_client_input, on_client_resize, console,
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
	/* Nobody may try to read from it: it could block. */
	if (r < 0)
		cleanup_close(&console->pty_fd);
	return r;
}

void console_disconnect(struct console *console)
{
	if (console->pty_fd < 0)
		return;
	event_remove_fd(console->s->loop, console->pty_fd);
	while (read_master(console) > 0)
		;
	if (console->s->log)
		consolelog_flush(console->s->log);
	event_disarm_timer(console->s->loop, &console->flush_timer);
	(void)close(take_fd(&console->pty_fd));
}

void console_free(struct console *console)
{
	if (!console)
		return;
	console_disconnect(console);
	if (console->has_input)
		event_remove_fd(console->s->loop, STDIN_FILENO);
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
