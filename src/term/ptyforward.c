// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copying between two terminals. Must never leave the caller's terminal raw, block on either side,
 * or change the flags of a descriptor that other programs share. Host side of clone().
 */
#include "term/ptyforward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"

#define READ_SIZE 16384
#define FRAME_DATA_MAX 4096
#define FRAME_HEADER 3
#define ESCAPE_BYTE 0x1d
#define ESCAPE_WINDOW_US USEC_PER_SEC
#define HANGUP_RETRY_US (50 * USEC_PER_MSEC)
/* More than a pty holds: what a process left behind writes is not waited for. */
#define DRAIN_MAX (64 * 1024)
/* What a window size and a full read of input take, as frames. */
#define TO_STREAM_MAX (FRAME_DATA_MAX + 64)

struct side {
	int fd;
	bool own;     /* reopened: closed by us, and non-blocking */
	bool watched; /* known to the loop */
	bool is_tty;
	uint32_t events;
	struct termios saved;
};

struct pending {
	char data[READ_SIZE];
	size_t begin, end;
};

struct ptyforward {
	struct event_loop *loop;
	struct ptyforward_config config;
	struct side input, output, stream;
	struct pending to_output, to_stream;
	struct event_timer retry;
	uint64_t escape_since;
	unsigned escapes;
	bool had_input;
};

static int on_stream(struct event_loop *loop, int fd, uint32_t events, void *userdata);
static int on_input(struct event_loop *loop, int fd, uint32_t events, void *userdata);
static int on_output(struct event_loop *loop, int fd, uint32_t events, void *userdata);

/* A description of our own, so that O_NONBLOCK is ours alone; what can't be opened is shared. */
static void open_side(struct side *side, int fd, int flags)
{
	char path[32];
	int own;

	*side = (struct side){.fd = fd};
	if (fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (own >= 0) {
		side->fd = own;
		side->own = true;
	}
}

static void make_raw(struct side *side)
{
	struct termios raw;

	if (side->fd < 0 || !isatty(side->fd) || tcgetattr(side->fd, &side->saved) < 0)
		return;
	raw = side->saved;
	cfmakeraw(&raw);
	side->is_tty = tcsetattr(side->fd, TCSANOW, &raw) == 0;
}

static int watch(struct ptyforward *f, struct side *side, uint32_t events, event_fd_fn fn)
{
	int r = event_add_fd(f->loop, side->fd, events, fn, f);

	if (r < 0)
		return r;
	side->watched = true;
	side->events = events;
	return 0;
}

static void want(struct ptyforward *f, struct side *side, uint32_t events)
{
	if (!side->watched || side->events == events)
		return;
	if (event_change_fd(f->loop, side->fd, events) >= 0)
		side->events = events;
}

static void forget(struct ptyforward *f, struct side *side)
{
	if (side->watched)
		event_remove_fd(f->loop, side->fd);
	side->watched = false;
}

static size_t left(const struct pending *p)
{
	return p->end - p->begin;
}

/* Each side is read only while what it said before has been written. */
static void update(struct ptyforward *f)
{
	uint32_t stream = 0;

	if (left(&f->to_output) == 0)
		stream |= EPOLLIN;
	if (left(&f->to_stream) > 0)
		stream |= EPOLLOUT;
	want(f, &f->stream, stream);
	want(f, &f->output, left(&f->to_output) > 0 ? EPOLLOUT : 0);
	want(f, &f->input, left(&f->to_stream) == 0 ? EPOLLIN : 0);
}

/* Writes what it can. What can't be written to any more is dropped. */
static void flush(struct pending *p, int fd)
{
	while (left(p) > 0) {
		ssize_t n = fd < 0 ? (ssize_t)left(p) : write(fd, p->data + p->begin, left(p));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		p->begin += n < 0 ? left(p) : (size_t)n;
	}
	p->begin = p->end = 0;
}

/* Bytes read, 0 nothing now, -EPIPE hung up. */
static int read_stream(struct ptyforward *f)
{
	ssize_t n = read(f->stream.fd, f->to_output.data, sizeof(f->to_output.data));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (n == 0)
		return -EPIPE;
	if (f->config.on_data)
		f->config.on_data(f->to_output.data, (size_t)n, f->config.userdata);
	f->to_output.end = (size_t)n;
	flush(&f->to_output, f->output.fd);
	return (int)n;
}

static int on_retry(struct event_loop *loop, void *userdata)
{
	struct ptyforward *f = userdata;
	int r = watch(f, &f->stream, EPOLLIN, on_stream);

	update(f);
	return r;
}

static int on_stream(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct ptyforward *f = userdata;
	int r = 0;

	if (events & EPOLLOUT)
		flush(&f->to_stream, f->stream.fd);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && left(&f->to_output) == 0)
		r = read_stream(f);
	/* A hangup is told all the time, also while the rest can't be shown: look later then. */
	if (r == -EPIPE || (events & EPOLLHUP && left(&f->to_output) > 0)) {
		forget(f, &f->stream);
		if (r != -EPIPE || f->config.on_hangup(f->config.userdata))
			event_arm_timer(loop, &f->retry, time_monotonic_us() + HANGUP_RETRY_US);
	}
	update(f);
	return 0;
}

static int on_output(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct ptyforward *f = userdata;

	flush(&f->to_output, fd);
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLOUT)) {
		f->to_output.begin = f->to_output.end = 0;
		forget(f, &f->output);
	}
	update(f);
	return 0;
}

static char escape_key(struct ptyforward *f, char c)
{
	uint64_t now;

	if (c != ESCAPE_BYTE) {
		bool armed = f->config.hotkeys && f->escapes == 2 &&
			     (c == PTYFORWARD_REBOOT || c == PTYFORWARD_POWEROFF) &&
			     time_monotonic_us() - f->escape_since <= ESCAPE_WINDOW_US;

		f->escapes = 0;
		return armed ? c : 0;
	}
	now = time_monotonic_us();
	if (f->escapes == 0 || now - f->escape_since > ESCAPE_WINDOW_US) {
		f->escapes = 0;
		f->escape_since = now;
	}
	if (++f->escapes < 3)
		return 0;
	f->escapes = 0;
	return PTYFORWARD_ESCAPE;
}

static void add_frame(struct ptyforward *f, char type, const void *data, size_t size)
{
	struct pending *p = &f->to_stream;
	unsigned char header[FRAME_HEADER] = {(unsigned char)type, (unsigned char)(size >> 8),
					      (unsigned char)size};
	bool framed = f->config.framed;

	if (p->end + size + FRAME_HEADER > sizeof(p->data))
		return;
	if (framed) {
		memcpy(p->data + p->end, header, sizeof(header));
		p->end += sizeof(header);
	}
	memcpy(p->data + p->end, data, size);
	p->end += size;
}

static int end_input(struct ptyforward *f)
{
	forget(f, &f->input);
	return f->config.on_input_end ? f->config.on_input_end(f->config.userdata) : 0;
}

static int on_input(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct ptyforward *f = userdata;
	char data[FRAME_DATA_MAX];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return end_input(f);
	f->had_input = true;
	for (ssize_t i = 0; i < n; i++) {
		char key = escape_key(f, data[i]);
		int r = key ? f->config.on_key(key, f->config.userdata) : 0;

		if (r < 0)
			return r;
	}
	add_frame(f, 'd', data, (size_t)n);
	flush(&f->to_stream, f->stream.fd);
	update(f);
	return 0;
}

void ptyforward_resize(struct ptyforward *f)
{
	struct winsize size;
	int fd = f->output.is_tty ? f->output.fd : f->input.fd;
	unsigned char frame[4];

	if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0)
		return;
	if (!f->config.framed) {
		(void)ioctl(f->stream.fd, TIOCSWINSZ, &size);
		return;
	}
	frame[0] = (unsigned char)(size.ws_row >> 8);
	frame[1] = (unsigned char)size.ws_row;
	frame[2] = (unsigned char)(size.ws_col >> 8);
	frame[3] = (unsigned char)size.ws_col;
	/* A storm of them while the machine does not read is dropped but for the first. */
	if (left(&f->to_stream) < TO_STREAM_MAX)
		add_frame(f, 'w', frame, sizeof(frame));
	flush(&f->to_stream, f->stream.fd);
	update(f);
}

/* Files and the like can't be waited for: output is then written at once, input not forwarded. */
static int start(struct ptyforward *f)
{
	int r = watch(f, &f->stream, EPOLLIN, on_stream);

	if (r >= 0 && f->output.fd >= 0) {
		r = watch(f, &f->output, 0, on_output);
		r = r == -EPERM ? 0 : r;
	}
	if (r >= 0 && f->input.fd >= 0) {
		r = watch(f, &f->input, EPOLLIN, on_input);
		r = r == -EPERM ? 0 : r;
	}
	return r;
}

int ptyforward_new(struct event_loop *loop, const struct ptyforward_config *config,
		   struct ptyforward **ret)
{
	struct ptyforward *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->config = *config;
	f->retry = (struct event_timer){.fn = on_retry, .userdata = f, .due_us = USEC_INFINITY};
	f->stream.fd = config->stream;
	open_side(&f->input, config->input, O_RDONLY);
	open_side(&f->output, config->output, O_WRONLY);
	r = fd_set_nonblock(config->stream, true);
	if (r >= 0)
		r = start(f);
	if (r < 0) {
		ptyforward_free(f);
		return r;
	}
	/* Input first: where both are one terminal, the second sees it raw already. */
	make_raw(&f->input);
	make_raw(&f->output);
	ptyforward_resize(f);
	*ret = f;
	return 0;
}

static void close_side(struct ptyforward *f, struct side *side)
{
	forget(f, side);
	if (side->is_tty)
		(void)tcsetattr(side->fd, TCSANOW, &side->saved);
	if (side->own)
		(void)close(side->fd);
}

/* What was read is shown even when the terminal is slow, but not for ever (^S). */
static void flush_output(struct ptyforward *f)
{
	for (int i = 0; i < 50 && left(&f->to_output) > 0; i++) {
		struct pollfd p = {.fd = f->output.fd, .events = POLLOUT};

		(void)poll(&p, 1, 20);
		flush(&f->to_output, f->output.fd);
	}
}

void ptyforward_drain(struct ptyforward *f)
{
	int rest = DRAIN_MAX, n = 0;

	do {
		rest -= n;
		flush_output(f);
		n = left(&f->to_output) == 0 && rest > 0 ? read_stream(f) : 0;
	} while (n > 0);
	flush_output(f);
}

void ptyforward_free(struct ptyforward *f)
{
	if (!f)
		return;
	event_disarm_timer(f->loop, &f->retry);
	forget(f, &f->stream);
	close_side(f, &f->output);
	close_side(f, &f->input);
	free(f);
}

bool ptyforward_had_input(const struct ptyforward *f)
{
	return f->had_input;
}
