/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One direction of a proxied connection: a pipe between two sockets that don't block. Quiet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct proxy_flow {
	int pipe[2]; /* made with the first byte; -1 before */
	size_t held; /* bytes in it */
	bool ended;  /* the source has no more */
	bool closed; /* and the sink knows */
};

#define PROXY_FLOW_NEW                                                                             \
	(struct proxy_flow)                                                                        \
	{                                                                                          \
		.pipe = { -1, -1 }                                                                 \
	}

/*
 * Moves what can be moved now, up to a pipe full. 1: moved something, call again. 0: one of the
 * sockets has to become ready first. Or -errno: of either socket.
 */
int proxy_flow_move(struct proxy_flow *flow, int from, int to);
void proxy_flow_done(struct proxy_flow *flow);
