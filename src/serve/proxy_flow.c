/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splicing from one socket to another. The pipe is filled only when it is empty, so that "again"
 * from the filling splice always means the socket. Supervisor's side.
 */
#include "serve/proxy_flow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOVE_MAX (64 * 1024)

/* 1: there is a pipe. 0: no byte has come yet, or none will. */
static int need_pipe(struct proxy_flow *flow, int from)
{
	char byte;
	ssize_t n;

	if (flow->pipe[0] >= 0)
		return 1;
	n = recv(from, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		flow->ended = true;
		return 0;
	}
	return pipe2(flow->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 1;
}

static int fill(struct proxy_flow *flow, int from)
{
	int r = need_pipe(flow, from);
	ssize_t n;

	if (r <= 0)
		return r;
	do
		n = splice(from, NULL, flow->pipe[1], NULL, MOVE_MAX,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	flow->held = (size_t)n;
	flow->ended = n == 0;
	return n > 0;
}

static int drain(struct proxy_flow *flow, int to)
{
	int moved = 0;

	while (flow->held > 0) {
		ssize_t n = splice(flow->pipe[0], NULL, to, NULL, flow->held,
				   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno == EAGAIN ? moved : -errno;
		flow->held -= (size_t)n;
		moved = 1;
	}
	return moved;
}

int proxy_flow_move(struct proxy_flow *flow, int from, int to)
{
	int filled = 0;
	int drained;

	if (flow->held == 0 && !flow->ended)
		filled = fill(flow, from);
	if (filled < 0)
		return filled;
	drained = drain(flow, to);
	if (drained < 0)
		return drained;
	if (flow->ended && flow->held == 0 && !flow->closed) {
		/* The other end may be gone already: the next call reports its error. */
		(void)shutdown(to, SHUT_WR);
		flow->closed = true;
	}
	return filled || drained;
}

void proxy_flow_done(struct proxy_flow *flow)
{
	for (int i = 0; i < 2; i++)
		if (flow->pipe[i] >= 0)
			(void)close(flow->pipe[i]);
	*flow = PROXY_FLOW_NEW;
}
