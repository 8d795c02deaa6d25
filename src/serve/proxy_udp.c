/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The UDP proxy. The timer runs only while there are sessions. Supervisor's side.
 */
#include "serve/proxy_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"

#define DATAGRAM_MAX 65536
/* Datagrams that are read from one socket at one wake-up. */
#define DATAGRAMS_AT_ONCE 32

struct listener {
	struct listener *next;
	struct proxy_udp *proxy;
	int fd;
	int family;
	int first_family; /* of the machine, for new sessions: the last that did not refuse */
	uint16_t guest_port;
	const void *owner;
};

/* One end of a datagram that came in: whoever sent it, and the address of ours it was sent to. */
struct origin {
	struct sockaddr_in6 peer; /* or sockaddr_in, as its family tells */
	struct net_address local;
	unsigned interface; /* where the peer's address needs one */
};

struct session {
	struct session *next;
	struct listener *listener;
	int fd; /* connected to the machine */
	struct origin client;
	struct sockaddr_in6 self; /* fd's own address */
	bool was_answered;
	bool has_tried_other; /* family */
	uint64_t used_us;
};

struct proxy_udp {
	struct event_loop *loop;
	uint64_t idle_us;
	struct proxy_target target;
	struct listener *listeners;
	struct session *sessions;
	size_t count;
	struct event_timer timer;
	char *datagram; /* DATAGRAM_MAX bytes */
};

static bool is_same_peer(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;

	if (a->sin6_family != b->sin6_family || a->sin6_port != b->sin6_port)
		return false;
	if (a->sin6_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sin6_scope_id == b->sin6_scope_id &&
	       memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
}

static void session_free(struct session *session)
{
	struct proxy_udp *proxy = session->listener->proxy;
	struct session **at = &proxy->sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	proxy->count--;
	event_remove_fd(proxy->loop, session->fd);
	(void)close(session->fd);
	free(session);
	if (proxy->count == 0)
		event_disarm_timer(proxy->loop, &proxy->timer);
}

/* Ends idle sessions, and sets the timer to when the next one will be idle. */
static int on_timer(struct event_loop *loop, void *userdata)
{
	struct proxy_udp *proxy = userdata;
	uint64_t now_us = time_monotonic_us();
	uint64_t oldest_us = now_us;
	struct session *next;

	for (struct session *session = proxy->sessions; session; session = next) {
		next = session->next;
		if (now_us - session->used_us >= proxy->idle_us)
			session_free(session);
		else
			oldest_us = MIN(oldest_us, session->used_us);
	}
	if (proxy->count > 0)
		event_arm_timer(loop, &proxy->timer, oldest_us + proxy->idle_us);
	return 0;
}

static struct session *session_find(const struct listener *listener, const struct origin *origin)
{
	for (struct session *s = listener->proxy->sessions; s; s = s->next)
		if (s->listener == listener && is_same_peer(&s->client.peer, &origin->peer) &&
		    net_address_equal(&s->client.local, &origin->local))
			return s;
	return NULL;
}

/* Detects a loop: the target is an address of the host with our own port. */
static bool is_our_own(const struct proxy_udp *proxy, const struct origin *origin)
{
	for (const struct session *s = proxy->sessions; s; s = s->next)
		if (is_same_peer(&s->self, &origin->peer))
			return true;
	return false;
}

/* Room for one more: ends the oldest session that the machine never answered. */
static bool make_room(struct proxy_udp *proxy)
{
	struct session *oldest = NULL;

	if (proxy->count < PROXY_UDP_SESSIONS_MAX)
		return true;
	for (struct session *s = proxy->sessions; s; s = s->next)
		if (!s->was_answered && (!oldest || s->used_us <= oldest->used_us))
			oldest = s;
	if (!oldest)
		return false;
	session_free(oldest);
	return true;
}

/* Sets the source address: an answer must come from the address that the question went to. */
static size_t put_source(const struct origin *origin, struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct in_pktinfo v4 = {.ipi_spec_dst = origin->local.v4};
	struct in6_pktinfo v6 = {.ipi6_addr = origin->local.v6, .ipi6_ifindex = origin->interface};
	bool is_v4 = origin->local.family == AF_INET;
	size_t size = is_v4 ? sizeof(v4) : sizeof(v6);

	control->cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
	control->cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO;
	control->cmsg_len = CMSG_LEN(size);
	if (is_v4)
		memcpy(CMSG_DATA(control), &v4, size);
	else
		memcpy(CMSG_DATA(control), &v6, size);
	return CMSG_SPACE(size);
}

static void answer(const struct session *session, const char *data, size_t size)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {};
	struct sockaddr_in6 peer = session->client.peer;
	struct iovec part = {.iov_base = (char *)data, .iov_len = size};
	struct msghdr message = {
		.msg_name = &peer,
		.msg_namelen = peer.sin6_family == AF_INET ? sizeof(struct sockaddr_in)
							   : sizeof(struct sockaddr_in6),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	message.msg_controllen = put_source(&session->client, &message);
	/* A datagram that can't be sent is lost, as UDP allows. */
	(void)sendmsg(session->listener->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int on_session(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static int connect_session(struct session *session, int family)
{
	struct proxy_udp *proxy = session->listener->proxy;
	struct sockaddr_storage target;
	socklen_t self_size = sizeof(session->self);
	socklen_t size =
		proxy_pick_target(&proxy->target, family, session->listener->guest_port, &target);

	if (size == 0)
		return -EHOSTDOWN;
	session->fd = socket(target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&target, size) < 0)
		return -errno;
	if (getsockname(session->fd, (struct sockaddr *)&session->self, &self_size) < 0)
		return -errno;
	return event_add_fd(proxy->loop, session->fd, EPOLLIN, on_session, session);
}

/*
 * A service inside may listen on one family only: switch to the other one. This datagram is lost.
 * The next ones go there, also those of other clients, since a client may repeat its question from
 * another port. True: the session has another descriptor now.
 */
static bool connect_other(struct session *session)
{
	struct event_loop *loop = session->listener->proxy->loop;
	bool is_v4 = session->self.sin6_family == AF_INET;
	struct session other = *session;

	if (session->was_answered || session->has_tried_other)
		return false;
	session->has_tried_other = true;
	event_remove_fd(loop, session->fd);
	if (connect_session(session, is_v4 ? AF_INET6 : AF_INET) >= 0) {
		(void)close(other.fd);
		session->listener->first_family = session->self.sin6_family;
		return true;
	}
	if (session->fd >= 0 && session->fd != other.fd)
		(void)close(session->fd);
	session->fd = other.fd;
	session->self = other.self;
	(void)event_add_fd(loop, session->fd, EPOLLIN, on_session, session);
	return true;
}

static int on_session(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct session *session = userdata;
	char *data = session->listener->proxy->datagram;

	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t n = recv(fd, data, DATAGRAM_MAX, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		/* "Port unreachable" and the like: the machine may listen in a moment. */
		if (n < 0 && connect_other(session))
			break;
		if (n < 0)
			continue;
		session->was_answered = true;
		session->used_us = time_monotonic_us();
		answer(session, data, (size_t)n);
	}
	return 0;
}

static struct session *session_new(struct listener *listener, const struct origin *origin)
{
	struct proxy_udp *proxy = listener->proxy;
	struct session *session;

	if (is_our_own(proxy, origin) || !make_room(proxy))
		return NULL;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	*session = (struct session){.listener = listener, .fd = -1, .client = *origin};
	if (connect_session(session, listener->first_family) < 0) {
		if (session->fd >= 0)
			(void)close(session->fd);
		free(session);
		return NULL;
	}
	session->next = proxy->sessions;
	proxy->sessions = session;
	if (proxy->count++ == 0)
		event_arm_timer(proxy->loop, &proxy->timer, time_monotonic_us() + proxy->idle_us);
	return session;
}

/* The destination address, which a socket that is bound to all addresses doesn't have. */
static void take_local(const struct msghdr *message, struct origin *origin)
{
	struct msghdr *m = (struct msghdr *)message;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			origin->local =
				(struct net_address){.family = AF_INET, .v4 = v4.ipi_spec_dst};
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			origin->local =
				(struct net_address){.family = AF_INET6, .v6 = v6.ipi6_addr};
			origin->interface =
				IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr) ? v6.ipi6_ifindex : 0;
		}
	}
}

/* The size of a datagram, or -errno. */
static ssize_t receive(const struct listener *listener, struct origin *origin)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec part = {.iov_base = listener->proxy->datagram, .iov_len = DATAGRAM_MAX};
	struct msghdr message = {
		.msg_name = &origin->peer,
		.msg_namelen = sizeof(origin->peer),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(listener->fd, &message, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	take_local(&message, origin);
	return origin->local.family == listener->family ? n : -EPROTO;
}

static int on_listener(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct listener *listener = userdata;

	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct origin origin = {};
		ssize_t n = receive(listener, &origin);
		struct session *session;

		if (n == -EAGAIN)
			break;
		if (n < 0)
			continue;
		session = session_find(listener, &origin);
		if (!session)
			session = session_new(listener, &origin);
		if (!session)
			continue;
		session->used_us = time_monotonic_us();
		(void)send(session->fd, listener->proxy->datagram, (size_t)n,
			   MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return 0;
}

int proxy_udp_new(struct event_loop *loop, uint64_t idle_us, struct proxy_udp **ret)
{
	struct proxy_udp *proxy = calloc(1, sizeof(*proxy));

	if (!proxy)
		return -ENOMEM;
	proxy->datagram = malloc(DATAGRAM_MAX);
	if (!proxy->datagram) {
		free(proxy);
		return -ENOMEM;
	}
	proxy->loop = loop;
	proxy->idle_us = idle_us;
	proxy->timer =
		(struct event_timer){.due_us = USEC_INFINITY, .fn = on_timer, .userdata = proxy};
	*ret = proxy;
	return 0;
}

/* The socket's family. From now on it reports the destination of each datagram. */
static int want_local(int fd)
{
	const int on = 1;
	int family = 0;
	socklen_t size = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
		return -errno;
	if (family == AF_INET && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	return family;
}

int proxy_udp_listen(struct proxy_udp *proxy, int fd, uint16_t guest_port, const void *owner)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int r = listener ? want_local(fd) : -ENOMEM;

	if (r >= 0) {
		*listener = (struct listener){.next = proxy->listeners,
					      .proxy = proxy,
					      .fd = fd,
					      .family = r,
					      .first_family = r,
					      .guest_port = guest_port,
					      .owner = owner};
		r = event_add_fd(proxy->loop, fd, EPOLLIN, on_listener, listener);
	}
	if (r < 0) {
		(void)close(fd);
		free(listener);
		return r;
	}
	proxy->listeners = listener;
	return 0;
}

/* Of one listener; NULL: all of them. */
static void drop_sessions(struct proxy_udp *proxy, const struct listener *listener)
{
	struct session *next;

	for (struct session *session = proxy->sessions; session; session = next) {
		next = session->next;
		if (!listener || session->listener == listener)
			session_free(session);
	}
}

/* `owner` NULL: all of them. */
static void drop(struct proxy_udp *proxy, const void *owner)
{
	struct listener **at = &proxy->listeners;

	while (*at) {
		struct listener *listener = *at;

		if (owner && listener->owner != owner) {
			at = &listener->next;
			continue;
		}
		drop_sessions(proxy, listener);
		*at = listener->next;
		event_remove_fd(proxy->loop, listener->fd);
		(void)close(listener->fd);
		free(listener);
	}
}

void proxy_udp_drop(struct proxy_udp *proxy, const void *owner)
{
	drop(proxy, owner);
}

void proxy_udp_set_target(struct proxy_udp *proxy, const struct proxy_target *target)
{
	proxy->target = *target;
	drop_sessions(proxy, NULL);
}

void proxy_udp_free(struct proxy_udp *proxy)
{
	if (!proxy)
		return;
	drop(proxy, NULL);
	event_disarm_timer(proxy->loop, &proxy->timer);
	free(proxy->datagram);
	free(proxy);
}

size_t proxy_udp_count(const struct proxy_udp *proxy)
{
	return proxy->count;
}
