/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A private network namespace, the event loop under test in the main thread, and actors in threads:
 * clients and servers that may block. An actor returns NULL, or an error text.
 */
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check.h"
#include "lib/event.h"
#include "net/address.h"

/* The time after which a hanging test fails. */
#define PATIENCE_S 20
#define ACTORS_MAX 8

typedef const char *(*actor_fn)(void *userdata);

struct actor {
	pthread_t thread;
	actor_fn fn;
	void *userdata;
	int done_fd;
};

struct world {
	struct event_loop *loop;
	int done_fd;
	uint64_t left;
	struct actor actors[ACTORS_MAX];
	size_t actor_count;
	int fds_before;
};

static inline void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	(void)close(fd);
}

/* Skips the tests without root. */
static inline int own_network(void **state)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return 0;
	(void)signal(SIGPIPE, SIG_IGN);
	loopback_up();
	return 0;
}

static inline int on_actor_done(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct world *w = userdata;
	uint64_t n = 0;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		w->left -= n;
	if (w->left == 0)
		event_exit(loop, 0);
	return 0;
}

static inline int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->fds_before = fd_count();
	assert_int_equal(event_loop_new(&w->loop), 0);
	w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(event_add_fd(w->loop, w->done_fd, EPOLLIN, on_actor_done, w), 0);
	*state = w;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *w = *state;

	event_loop_free(w->loop);
	(void)close(w->done_fd);
	assert_int_equal(fd_count(), w->fds_before);
	free(w);
	return 0;
}

static inline void *run_actor(void *userdata)
{
	struct actor *actor = userdata;
	const char *wrong = actor->fn(actor->userdata);

	(void)eventfd_write(actor->done_fd, 1);
	return (void *)wrong;
}

static inline void add_actor(struct world *w, actor_fn fn, void *userdata)
{
	assert_true(w->actor_count < ACTORS_MAX);
	w->actors[w->actor_count++] =
		(struct actor){.fn = fn, .userdata = userdata, .done_fd = w->done_fd};
}

/* Runs the loop until all actors have ended; fails with the error text of one. */
static inline void play(struct world *w)
{
	const char *first = NULL;
	void *wrong;

	w->left = w->actor_count;
	for (size_t i = 0; i < w->actor_count; i++)
		assert_int_equal(
			pthread_create(&w->actors[i].thread, NULL, run_actor, &w->actors[i]), 0);
	assert_int_equal(event_run(w->loop), 0);
	for (size_t i = 0; i < w->actor_count; i++) {
		assert_int_equal(pthread_join(w->actors[i].thread, &wrong), 0);
		first = first ? first : wrong;
	}
	w->actor_count = 0;
	if (first)
		fail_msg("%s", first);
}

static inline struct net_address address_of(const char *text)
{
	struct net_address address = {};

	if (text)
		assert_int_equal(net_address_parse(text, &address), 0);
	return address;
}

static inline socklen_t socket_address(const char *text, uint16_t port, struct sockaddr_in6 *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	*ret = (struct sockaddr_in6){};
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	(void)inet_pton(AF_INET6, text, &ret->sin6_addr);
	ret->sin6_family = AF_INET6;
	ret->sin6_port = htons(port);
	return sizeof(*ret);
}

static inline void be_patient(int fd)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/* -errno if that fails. */
static inline int bound_socket(int type, const char *address, uint16_t port)
{
	struct sockaddr_in6 end;
	socklen_t size = socket_address(address, port, &end);
	int fd = socket(end.sin6_family, type | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	be_patient(fd);
	if (bind(fd, (struct sockaddr *)&end, size) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 512) < 0)) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static inline int connected_socket(int type, const char *address, uint16_t port)
{
	struct sockaddr_in6 end;
	socklen_t size = socket_address(address, port, &end);
	int fd = socket(end.sin6_family, type | SOCK_CLOEXEC, 0);

	be_patient(fd);
	if (connect(fd, (struct sockaddr *)&end, size) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static inline void reset_socket(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
}
