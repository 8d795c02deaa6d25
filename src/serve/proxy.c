/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The TCP proxy. Connections are watched edge-triggered: level-triggered, a hang-up would be
 * reported without end while the other end is slow, and the loop would never sleep. Must never read
 * a byte of what passes, nor wake up without one. Supervisor's side.
 */
#include "serve/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/acceptor.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"
#include "serve/proxy_flow.h"

/* Full pipes that are moved at one wake-up, before other connections get their turn. */
#define MOVES_AT_ONCE 16
/* Two sockets and two pipes for each connection; and those of the supervisor itself. */
#define FDS_EACH 6
#define FDS_SPARED 128
/* About 15 s: a machine that runs answers at once. */
#define SYN_RETRIES 3

#define CONNECTION_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct listener {
	struct listener *next;
	struct proxy *proxy;
	struct acceptor acceptor;
	uint16_t guest_port;
	const void *owner;
};

struct connection {
	struct connection *next;
	struct proxy *proxy;
	const void *owner;
	int client, guest;
	uint16_t guest_port;
	bool is_connecting;
	bool has_tried_other;	      /* family */
	struct proxy_flow up, down;   /* client to guest, guest to client */
	struct sockaddr_storage self; /* ours, towards the guest */
	struct sockaddr_storage target;
};

struct proxy {
	struct event_loop *loop;
	struct proxy_target target;
	struct listener *listeners;
	struct connection *connections;
	size_t count;
	bool is_full; /* who comes beyond that waits */
};

static void fill_address(const struct net_address *address, uint16_t port,
			 struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)address->family};
	if (address->family == AF_INET) {
		v4->sin_port = htons(port);
		v4->sin_addr = address->v4;
	} else {
		v6->sin6_port = htons(port);
		v6->sin6_addr = address->v6;
	}
}

unsigned proxy_pick_target(const struct proxy_target *target, int family, uint16_t port,
			   struct sockaddr_storage *ret)
{
	const struct net_address *address = family == AF_INET ? &target->v4 : &target->v6;

	if (!net_address_is_set(address))
		address = family == AF_INET ? &target->v6 : &target->v4;
	if (!net_address_is_set(address))
		return 0;
	fill_address(address, port, ret);
	return address->family == AF_INET ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6);
}

static void close_with_reset(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
}

static void hold_listeners(struct proxy *proxy, bool on)
{
	if (proxy->is_full == on)
		return;
	proxy->is_full = on;
	for (struct listener *l = proxy->listeners; l; l = l->next)
		acceptor_hold(&l->acceptor, on);
}

static size_t connections_max(void)
{
	struct rlimit limit = {};
	rlim_t fit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return PROXY_CONNECTIONS_MAX;
	fit = limit.rlim_cur > FDS_SPARED ? (limit.rlim_cur - FDS_SPARED) / FDS_EACH : 0;
	return MAX(MIN(fit, (rlim_t)PROXY_CONNECTIONS_MAX), (rlim_t)1);
}

static void close_end(struct connection *c, int fd, bool reset)
{
	if (fd < 0)
		return;
	event_remove_fd(c->proxy->loop, fd);
	if (reset)
		close_with_reset(fd);
	else
		(void)close(fd);
}

static void connection_free(struct connection *c, bool reset)
{
	struct proxy *proxy = c->proxy;
	struct connection **at = &proxy->connections;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		proxy->count--;
	}
	close_end(c, c->client, reset);
	close_end(c, c->guest, reset);
	proxy_flow_done(&c->up);
	proxy_flow_done(&c->down);
	free(c);
	hold_listeners(proxy, false);
}

/* 0: waits for the sockets, or is finished; the flows tell which. */
static int connection_move(struct connection *c)
{
	for (int i = 0; i < MOVES_AT_ONCE; i++) {
		int up = proxy_flow_move(&c->up, c->client, c->guest);
		int down = proxy_flow_move(&c->down, c->guest, c->client);

		/* Data that was sent before the end still goes to the other end. */
		if (up < 0 || down < 0)
			return up < 0 ? up : down;
		if (!up && !down)
			return 0;
	}
	/* Setting the events again makes epoll report the current state. */
	if (event_change_fd(c->proxy->loop, c->client, CONNECTION_EVENTS) < 0)
		return -EIO;
	return event_change_fd(c->proxy->loop, c->guest, CONNECTION_EVENTS);
}

static int on_connection(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static bool is_same_end(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/*
 * Detects a loop: the target is an address of the host with our own port. Both ends must match: the
 * kernel gives one local port to several connections with different destinations, so a stranger may
 * well come from a port that we also connected from.
 */
static bool is_our_own(const struct proxy *proxy, int client, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = {};
	socklen_t size = sizeof(local);

	if (getsockname(client, (struct sockaddr *)&local, &size) < 0)
		return false;
	for (const struct connection *c = proxy->connections; c; c = c->next)
		if (is_same_end(&c->self, peer) && is_same_end(&c->target, &local))
			return true;
	return false;
}

static int set_options(int fd)
{
	const int on = 1;

	/* A peer that vanished silently must not occupy a connection for ever. */
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
		return -errno;
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int connect_to(struct connection *c, int family)
{
	const int retries = SYN_RETRIES;
	socklen_t size = proxy_pick_target(&c->proxy->target, family, c->guest_port, &c->target);
	socklen_t self_size = sizeof(c->self);
	int r;

	if (size == 0)
		return -EHOSTDOWN;
	c->guest = socket(c->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->guest < 0)
		return -errno;
	r = set_options(c->guest);
	if (r < 0)
		return r;
	(void)setsockopt(c->guest, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries));
	if (connect(c->guest, (struct sockaddr *)&c->target, size) < 0 && errno != EINPROGRESS)
		return -errno;
	if (getsockname(c->guest, (struct sockaddr *)&c->self, &self_size) < 0)
		return -errno;
	return event_add_fd(c->proxy->loop, c->guest, CONNECTION_EVENTS, on_connection, c);
}

/* A service inside may listen on one family only: try the other one. */
static int connect_other(struct connection *c, int error)
{
	const struct proxy_target *target = &c->proxy->target;
	bool was_v4 = c->target.ss_family == AF_INET;

	if (c->has_tried_other || !net_address_is_set(was_v4 ? &target->v6 : &target->v4))
		return error;
	c->has_tried_other = true;
	close_end(c, take_fd(&c->guest), false);
	return connect_to(c, was_v4 ? AF_INET6 : AF_INET);
}

static int connect_guest(struct connection *c, int family)
{
	int r = connect_to(c, family);

	return r < 0 && r != -EHOSTDOWN && !fd_is_shortage(r) ? connect_other(c, r) : r;
}

static int take_connect_result(struct connection *c, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return 0;
	if (getsockopt(c->guest, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	if (error)
		return connect_other(c, -error);
	c->is_connecting = false;
	return 0;
}

static int on_connection(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;
	int r = 0;

	if (c->is_connecting && fd == c->guest) {
		r = take_connect_result(c, events);
		events = 0;
	}
	if (r >= 0 && !c->is_connecting)
		r = connection_move(c);
	/* Nobody is left to read what the other end sends; without this, only its next byte would
	 * reveal that. */
	if (r >= 0 && (events & EPOLLERR))
		r = -ECONNRESET;
	if (r < 0)
		connection_free(c, true);
	else if (c->up.closed && c->down.closed)
		connection_free(c, false);
	return 0;
}

/* Takes the client. */
static int connection_new(struct listener *listener, int client,
			  const struct sockaddr_storage *peer)
{
	struct proxy *proxy = listener->proxy;
	struct connection *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close_with_reset(client);
		return -ENOMEM;
	}
	*c = (struct connection){
		.proxy = proxy,
		.owner = listener->owner,
		.client = client,
		.guest = -1,
		.guest_port = listener->guest_port,
		.is_connecting = true,
		.up = PROXY_FLOW_NEW,
		.down = PROXY_FLOW_NEW,
	};
	r = is_our_own(proxy, client, peer) ? -ELOOP : set_options(client);
	c->next = proxy->connections;
	proxy->connections = c;
	proxy->count++;
	if (r >= 0)
		r = connect_guest(c, peer->ss_family);
	if (r >= 0)
		r = event_add_fd(proxy->loop, client, CONNECTION_EVENTS, on_connection, c);
	if (r < 0)
		connection_free(c, true);
	return r;
}

static int on_accept(int fd, const struct sockaddr_storage *peer, void *userdata)
{
	struct listener *listener = userdata;
	struct proxy *proxy = listener->proxy;
	int r = connection_new(listener, fd, peer);

	hold_listeners(proxy, proxy->count >= connections_max());
	return r;
}

int proxy_new(struct event_loop *loop, struct proxy **ret)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));

	if (!proxy)
		return -ENOMEM;
	proxy->loop = loop;
	*ret = proxy;
	return 0;
}

int proxy_listen(struct proxy *proxy, int fd, uint16_t guest_port, const void *owner)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int r = listener ? 0 : -ENOMEM;

	if (r >= 0) {
		*listener = (struct listener){.next = proxy->listeners,
					      .proxy = proxy,
					      .guest_port = guest_port,
					      .owner = owner};
		r = acceptor_open(&listener->acceptor, proxy->loop, fd, on_accept, listener);
	}
	if (r < 0) {
		(void)close(fd);
		free(listener);
		return r;
	}
	acceptor_hold(&listener->acceptor, proxy->is_full);
	proxy->listeners = listener;
	return 0;
}

/* `owner` NULL: all of them. */
static void drop_listeners(struct proxy *proxy, const void *owner)
{
	struct listener **at = &proxy->listeners;

	while (*at) {
		struct listener *listener = *at;

		if (owner && listener->owner != owner) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		acceptor_close(&listener->acceptor);
		free(listener);
	}
}

static bool leads_elsewhere(const struct connection *c)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&c->target;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&c->target;
	struct net_address address = {.family = c->target.ss_family};

	if (address.family == AF_INET)
		address.v4 = v4->sin_addr;
	else
		address.v6 = v6->sin6_addr;
	return !net_address_equal(&address, address.family == AF_INET ? &c->proxy->target.v4
								      : &c->proxy->target.v6);
}

static void drop_connections(struct proxy *proxy, const void *owner, bool only_elsewhere)
{
	struct connection *next;

	for (struct connection *c = proxy->connections; c; c = next) {
		next = c->next;
		if ((!owner || c->owner == owner) && (!only_elsewhere || leads_elsewhere(c)))
			connection_free(c, true);
	}
}

void proxy_drop(struct proxy *proxy, const void *owner)
{
	drop_listeners(proxy, owner);
	drop_connections(proxy, owner, false);
}

void proxy_set_target(struct proxy *proxy, const struct proxy_target *target)
{
	proxy->target = *target;
	drop_connections(proxy, NULL, true);
}

void proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return;
	drop_listeners(proxy, NULL);
	drop_connections(proxy, NULL, false);
	free(proxy);
}

size_t proxy_count(const struct proxy *proxy)
{
	return proxy->count;
}
