/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A listening socket in an event loop. Where no descriptor or no memory is left for a connection,
 * the kernel tells of it again and again: an acceptor rests for a while then, and never spins.
 * Quiet.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/event.h"

/*
 * Takes `fd`, non-blocking and close-on-exec. Where it returns a shortage (fd_is_shortage()), the
 * acceptor rests; other numbers are ignored.
 */
typedef int (*acceptor_fn)(int fd, const struct sockaddr_storage *peer, void *userdata);

struct acceptor {
	struct event_loop *loop;
	int fd;
	acceptor_fn fn;
	/*
	 * There is a shortage: true when something was given back, and it is worth another try at
	 * once. May be NULL.
	 */
	bool (*relieve)(void *userdata);
	void *userdata;
	bool is_held, is_resting, is_watching;
	struct event_timer timer;
};

/*
 * `fd` is a listening socket, non-blocking; it stays the caller's on error and is taken otherwise.
 * `acceptor` must not move afterwards. 0 or -errno.
 */
int acceptor_open(struct acceptor *acceptor, struct event_loop *loop, int fd, acceptor_fn fn,
		  void *userdata);
/* While it is held, connections wait in the backlog. */
void acceptor_hold(struct acceptor *acceptor, bool on);
/* Also when it was never opened, if it is zeroed or fd is -1. */
void acceptor_close(struct acceptor *acceptor);
