/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accepting. Must never wake for a connection that it can't take, nor let a flood of them keep the
 * loop from its other work. Parent side of clone() only.
 */
#include "lib/acceptor.h"

#include <errno.h>
#include <sys/epoll.h>

#include "lib/fd.h"
#include "lib/time.h"

/* One wake-up; then others have their turn. */
#define ACCEPTS_AT_ONCE 16
#define REST_US USEC_PER_SEC

static void update(struct acceptor *a)
{
	bool wanted = !a->is_held && !a->is_resting;

	if (a->is_watching == wanted)
		return;
	if (event_change_fd(a->loop, a->fd, wanted ? EPOLLIN : 0) >= 0)
		a->is_watching = wanted;
}

static void rest(struct acceptor *a)
{
	a->is_resting = true;
	event_arm_timer(a->loop, &a->timer, time_monotonic_us() + REST_US);
	update(a);
}

static int on_rested(struct event_loop *loop, void *userdata)
{
	struct acceptor *a = userdata;

	a->is_resting = false;
	update(a);
	return 0;
}

/* A connection, -EAGAIN: none is waiting, or a shortage. Those that are gone already are skipped.
 */
static int take(struct acceptor *a, struct sockaddr_storage *peer)
{
	socklen_t size = sizeof(*peer);
	int fd;

	do
		fd = accept4(a->fd, (struct sockaddr *)peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	return fd < 0 ? -errno : fd;
}

/* 1: one was taken, whatever became of it. 0: no more for now. */
static int accept_one(struct acceptor *a)
{
	struct sockaddr_storage peer = {};
	int r = take(a, &peer);

	if (fd_is_shortage(r) && a->relieve && a->relieve(a->userdata))
		r = take(a, &peer);
	if (r == -EAGAIN)
		return 0;
	/* Whatever error it is, it would be told again. */
	if (r >= 0 && !fd_is_shortage(a->fn(r, &peer, a->userdata)))
		return 1;
	rest(a);
	return 0;
}

static int on_listener(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct acceptor *a = userdata;

	for (int i = 0; i < ACCEPTS_AT_ONCE && a->is_watching && accept_one(a) > 0; i++)
		;
	return 0;
}

int acceptor_open(struct acceptor *acceptor, struct event_loop *loop, int fd, acceptor_fn fn,
		  void *userdata)
{
	int r;

	*acceptor = (struct acceptor){
		.loop = loop,
		.fd = fd,
		.fn = fn,
		.userdata = userdata,
		.is_watching = true,
		.timer = {.due_us = USEC_INFINITY, .fn = on_rested, .userdata = acceptor},
	};
	r = event_add_fd(loop, fd, EPOLLIN, on_listener, acceptor);
	if (r < 0)
		acceptor->fd = -1;
	return r;
}

void acceptor_hold(struct acceptor *acceptor, bool on)
{
	acceptor->is_held = on;
	update(acceptor);
}

void acceptor_close(struct acceptor *acceptor)
{
	if (!acceptor->loop || acceptor->fd < 0)
		return;
	event_disarm_timer(acceptor->loop, &acceptor->timer);
	event_remove_fd(acceptor->loop, acceptor->fd);
	(void)close(acceptor->fd);
	acceptor->fd = -1;
}
