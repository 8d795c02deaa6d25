/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing without waiting for the reader. Must never change the flags of a descriptor that other
 * programs share, and never spin at a reader who has gone. Parent side of clone() only.
 */
#include "lib/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"

/* Where epoll can't watch the descriptor, for want of memory say. */
#define RETRY_US (100 * USEC_PER_MSEC)

static int on_retry(struct event_loop *loop, void *userdata);

void outlet_open_own(struct outlet *outlet, int fd, size_t max)
{
	*outlet = (struct outlet){
		.fd = fd,
		.is_own = true,
		.max = max,
		.retry = {.due_us = USEC_INFINITY, .fn = on_retry, .userdata = outlet},
	};
	(void)fd_set_nonblock(fd, true);
}

void outlet_open(struct outlet *outlet, int fd, size_t max)
{
	int own = fd_reopen_nonblock(fd, O_WRONLY);
	struct stat st;

	outlet_open_own(outlet, own, max);
	if (own >= 0)
		return;
	outlet->fd = fd;
	outlet->is_own = false;
	outlet->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static ssize_t write_now(const struct outlet *outlet, const char *data, size_t size)
{
	struct pollfd poll_fd = {.fd = outlet->fd, .events = POLLOUT};

	if (outlet->is_own)
		return write(outlet->fd, data, size);
	if (outlet->is_socket)
		return send(outlet->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* Files are always ready. A pipe that is has room for so much. */
	if (poll(&poll_fd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(outlet->fd, data, MIN(size, (size_t)PIPE_BUF));
}

/* How much of it was written until there was no more room, or -errno. */
static ssize_t write_some(const struct outlet *outlet, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write_now(outlet, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == EAGAIN))
			break;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void unwatch(struct outlet *outlet)
{
	if (outlet->loop && outlet->is_watched)
		event_remove_fd(outlet->loop, outlet->fd);
	outlet->is_watched = false;
	if (outlet->loop)
		event_disarm_timer(outlet->loop, &outlet->retry);
}

static void close_fd(struct outlet *outlet)
{
	unwatch(outlet);
	if (outlet->is_own && outlet->fd >= 0)
		(void)close(outlet->fd);
	outlet->fd = -1;
	backlog_done(&outlet->backlog);
}

static int on_room(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static void watch(struct outlet *outlet)
{
	if (!outlet->loop || outlet->is_watched || outlet_is_empty(outlet))
		return;
	outlet->is_watched = event_add_fd(outlet->loop, outlet->fd, EPOLLOUT, on_room, outlet) >= 0;
	if (!outlet->is_watched)
		event_arm_timer(outlet->loop, &outlet->retry, time_monotonic_us() + RETRY_US);
}

static void flush(struct outlet *outlet)
{
	ssize_t n =
		write_some(outlet, backlog_data(&outlet->backlog), backlog_size(&outlet->backlog));

	if (n < 0)
		close_fd(outlet);
	else
		backlog_drop(&outlet->backlog, (size_t)n);
	if (!outlet_is_empty(outlet)) {
		watch(outlet);
		return;
	}
	unwatch(outlet);
	if (outlet->on_empty)
		outlet->on_empty(outlet->userdata);
}

static int on_room(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	flush(userdata);
	return 0;
}

static int on_retry(struct event_loop *loop, void *userdata)
{
	flush(userdata);
	return 0;
}

void outlet_attach(struct outlet *outlet, struct event_loop *loop)
{
	unwatch(outlet);
	outlet->loop = loop;
	watch(outlet);
}

int outlet_write(struct outlet *outlet, const void *data, size_t size)
{
	ssize_t n = 0;
	int r;

	if (outlet->fd < 0)
		return 0;
	if (outlet_is_empty(outlet))
		n = write_some(outlet, data, size);
	if (n < 0) {
		close_fd(outlet);
		return (int)n;
	}
	r = backlog_add(&outlet->backlog, (const char *)data + n, size - (size_t)n, outlet->max);
	if (r < 0)
		outlet->lost++;
	watch(outlet);
	return r;
}

void outlet_finish(struct outlet *outlet, int stop_fd, int timeout_ms)
{
	while (outlet->fd >= 0 && !outlet_is_empty(outlet)) {
		struct pollfd fds[] = {
			{.fd = outlet->fd, .events = POLLOUT},
			{.fd = stop_fd, .events = POLLIN},
		};
		int count = poll(fds, ARRAY_SIZE(fds), timeout_ms);
		ssize_t n;

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0 || fds[1].revents)
			return;
		n = write_some(outlet, backlog_data(&outlet->backlog),
			       backlog_size(&outlet->backlog));
		if (n < 0)
			return;
		backlog_drop(&outlet->backlog, (size_t)n);
	}
}

void outlet_close(struct outlet *outlet)
{
	close_fd(outlet);
	outlet->loop = NULL;
}
