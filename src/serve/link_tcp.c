/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DNS over TCP (RFC 7766) on the host's addresses of a machine's link: a few connections, each with
 * one question at a time. A connection that the machine neither reads nor finishes is closed.
 * Supervisor's side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/time.h"
#include "net/wire.h"
#include "serve/link_internal.h"

#define LENGTH_SIZE 2
#define QUERY_MAX LINK_FRAME_MAX
#define BACKLOG LINK_CONNECTIONS_MAX

/* A message with its length in front, read or written in part. */
struct message {
	uint8_t *data;
	size_t size, done;
};

enum phase {
	PHASE_QUERY,  /* from the client */
	PHASE_ASK,    /* to the server */
	PHASE_ANSWER, /* from the server */
	PHASE_REPLY,  /* to the client */
};

struct link_connection {
	struct link_service *service;
	struct link_connection **slot;
	int fd, server_fd; /* server_fd -1: none */
	enum phase phase;
	unsigned tries;
	struct event_timer timer;
	struct dns_query query;
	struct message question, answer;
};

static void message_done(struct message *message)
{
	free(message->data);
	*message = (struct message){};
}

/* Room for a message of this size, whose length is set. */
static int message_make(struct message *message, size_t size)
{
	message_done(message);
	message->data = malloc(LENGTH_SIZE + size);
	if (!message->data)
		return -ENOMEM;
	wire_put16(message->data, (uint16_t)size);
	message->size = LENGTH_SIZE + size;
	return 0;
}

/* 1: all of `size` is there, 0: not yet, -errno. */
static int read_up_to(int fd, struct message *message, size_t size)
{
	ssize_t n;

	if (message->done >= size)
		return 1;
	n = recv(fd, message->data + message->done, size - message->done, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	message->done += (size_t)n;
	return message->done >= size;
}

static int message_read(int fd, struct message *message, size_t max)
{
	size_t size;
	int r = 0;

	if (!message->data)
		r = message_make(message, 0);
	if (r >= 0)
		r = read_up_to(fd, message, LENGTH_SIZE);
	if (r <= 0)
		return r;
	size = wire_get16(message->data);
	if (size > max || size == 0)
		return -EMSGSIZE;
	if (message->size == LENGTH_SIZE) {
		r = message_make(message, size);
		message->done = LENGTH_SIZE;
	}
	return r < 0 ? r : read_up_to(fd, message, message->size);
}

static int message_write(int fd, struct message *message)
{
	ssize_t n = send(fd, message->data + message->done, message->size - message->done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	message->done += (size_t)n;
	return message->done == message->size;
}

static void hang_up_server(struct link_connection *connection)
{
	if (connection->server_fd < 0)
		return;
	event_remove_fd(connection->service->loop, connection->server_fd);
	(void)close(connection->server_fd);
	connection->server_fd = -1;
}

static void connection_free(struct link_connection *connection)
{
	struct event_loop *loop = connection->service->loop;

	hang_up_server(connection);
	event_disarm_timer(loop, &connection->timer);
	event_remove_fd(loop, connection->fd);
	(void)close(connection->fd);
	message_done(&connection->question);
	message_done(&connection->answer);
	*connection->slot = NULL;
	free(connection);
}

/* Reads from the client only when it is its turn; a hang-up is always reported. */
static int enter_phase(struct link_connection *connection, enum phase phase)
{
	static const uint32_t events[] = {[PHASE_QUERY] = EPOLLIN, [PHASE_REPLY] = EPOLLOUT};
	bool is_server = phase == PHASE_ASK || phase == PHASE_ANSWER;
	struct event_loop *loop = connection->service->loop;

	connection->phase = phase;
	event_arm_timer(loop, &connection->timer,
			time_monotonic_us() + (is_server ? LINK_TRY_US : LINK_IDLE_US));
	return event_change_fd(loop, connection->fd, is_server ? 0 : events[phase]);
}

static int reply_failure(struct link_connection *connection, enum dns_rcode rcode)
{
	struct message *answer = &connection->answer;
	size_t size;
	int r = message_make(answer, DNS_UDP_MIN);

	if (r < 0)
		return r;
	size = link_dns_fail(&connection->query, connection->question.data + LENGTH_SIZE, rcode,
			     answer->data + LENGTH_SIZE);
	wire_put16(answer->data, (uint16_t)size);
	answer->size = LENGTH_SIZE + size;
	return enter_phase(connection, PHASE_REPLY);
}

static int on_server(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static int ask_once(struct link_connection *connection)
{
	struct link_service *service = connection->service;
	uint16_t id;
	int r = link_random_id(&id);

	if (r >= 0)
		r = connection->server_fd =
			link_resolvers_connect(service, connection->tries - 1, SOCK_STREAM);
	if (r < 0)
		return r;
	wire_put16(connection->question.data + LENGTH_SIZE, id);
	connection->question.done = 0;
	message_done(&connection->answer);
	r = event_add_fd(service->loop, connection->server_fd, EPOLLOUT, on_server, connection);
	return r < 0 ? r : enter_phase(connection, PHASE_ASK);
}

static int ask_next(struct link_connection *connection)
{
	while (connection->tries < LINK_TRIES_MAX) {
		hang_up_server(connection);
		connection->tries++;
		if (ask_once(connection) >= 0)
			return 0;
	}
	hang_up_server(connection);
	return reply_failure(connection, DNS_RCODE_SERVFAIL);
}

static int relay(struct link_connection *connection)
{
	struct message *answer = &connection->answer;
	int rcode = dns_check_answer(&connection->query, connection->question.data + LENGTH_SIZE,
				     answer->data + LENGTH_SIZE, answer->size - LENGTH_SIZE);

	if (rcode < 0 || link_resolvers_try_another(connection->service, connection->tries, rcode))
		return ask_next(connection);
	(void)dns_relay_answer(&connection->query, answer->data + LENGTH_SIZE,
			       answer->size - LENGTH_SIZE, DNS_MESSAGE_MAX);
	answer->done = 0;
	hang_up_server(connection);
	return enter_phase(connection, PHASE_REPLY);
}

static int step_server(struct link_connection *connection)
{
	int r;

	if (connection->phase == PHASE_ASK) {
		r = message_write(connection->server_fd, &connection->question);
		if (r <= 0)
			return r < 0 ? ask_next(connection) : 0;
		connection->phase = PHASE_ANSWER;
		return event_change_fd(connection->service->loop, connection->server_fd, EPOLLIN);
	}
	r = message_read(connection->server_fd, &connection->answer, DNS_MESSAGE_MAX);
	if (r < 0)
		return ask_next(connection);
	return r == 0 ? 0 : relay(connection);
}

static int on_server(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	if (step_server(userdata) < 0)
		connection_free(userdata);
	return 0;
}

static int on_query(struct link_connection *connection)
{
	struct link_service *service = connection->service;
	const struct message *question = &connection->question;
	struct message *answer = &connection->answer;
	size_t size;
	int r;

	if (!link_bucket_take(&service->dns))
		return -EBUSY;
	r = message_make(answer, LINK_FRAME_MAX);
	if (r < 0)
		return r;
	if (link_dns_decide(service, question->data + LENGTH_SIZE, question->size - LENGTH_SIZE,
			    false, &connection->query, answer->data + LENGTH_SIZE, LINK_FRAME_MAX,
			    &size) == LINK_FORWARD) {
		connection->tries = 0;
		(void)link_resolvers_look(service);
		return ask_next(connection);
	}
	if (size == 0)
		return -EBADMSG;
	wire_put16(answer->data, (uint16_t)size);
	answer->size = LENGTH_SIZE + size;
	return enter_phase(connection, PHASE_REPLY);
}

static int step_client(struct link_connection *connection)
{
	int r;

	if (connection->phase == PHASE_QUERY) {
		r = message_read(connection->fd, &connection->question, QUERY_MAX);
		return r <= 0 ? r : on_query(connection);
	}
	if (connection->phase != PHASE_REPLY)
		return -EPIPE; /* hung up while others are asked */
	r = message_write(connection->fd, &connection->answer);
	if (r <= 0)
		return r;
	message_done(&connection->question);
	message_done(&connection->answer);
	return enter_phase(connection, PHASE_QUERY);
}

static int on_client(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	if (step_client(userdata) < 0)
		connection_free(userdata);
	return 0;
}

static int on_timeout(struct event_loop *loop, void *userdata)
{
	struct link_connection *connection = userdata;
	bool is_server = connection->phase == PHASE_ASK || connection->phase == PHASE_ANSWER;

	if (!is_server || ask_next(connection) < 0)
		connection_free(connection);
	return 0;
}

/* Takes fd. */
static void connection_new(struct link_service *service, int taken)
{
	autoclose int fd = taken;
	struct link_connection *connection;
	size_t i = 0;

	while (i < LINK_CONNECTIONS_MAX && service->connections[i])
		i++;
	connection = i < LINK_CONNECTIONS_MAX ? calloc(1, sizeof(*connection)) : NULL;
	if (!connection)
		return;
	*connection = (struct link_connection){
		.service = service,
		.slot = &service->connections[i],
		.fd = fd,
		.server_fd = -1,
		.timer = {.due_us = USEC_INFINITY, .fn = on_timeout, .userdata = connection},
	};
	if (event_add_fd(service->loop, fd, EPOLLIN, on_client, connection) < 0) {
		free(connection);
		return;
	}
	event_arm_timer(service->loop, &connection->timer, time_monotonic_us() + LINK_IDLE_US);
	service->connections[i] = connection;
	(void)take_fd(&fd);
}

/* Processes of the host also arrive by the link, and would use up the machine's connections. */
static bool is_of_link(const struct link_service *service, const struct sockaddr_in6 *peer)
{
	const struct net_lease *lease = &service->lease;
	struct net_address address = {.family = peer->sin6_family};

	if (address.family == AF_INET)
		address.v4 = ((const struct sockaddr_in *)peer)->sin_addr;
	else
		address.v6 = peer->sin6_addr;
	return (net_prefix_contains(&lease->subnet4, &address) ||
		net_prefix_contains(&lease->subnet6, &address)) &&
	       !net_address_equal(&address, &lease->host4) &&
	       !net_address_equal(&address, &lease->host6);
}

static int on_accept(int fd, const struct sockaddr_storage *peer, void *userdata)
{
	struct link_service *service = userdata;

	if (is_of_link(service, (const struct sockaddr_in6 *)peer))
		connection_new(service, fd);
	else
		(void)close(fd);
	return 0;
}

/*
 * Bound to the link: the address must not answer anybody else. SO_REUSEPORT: the supervisors of one
 * zone share its address, and the kernel stops asking one that has ended.
 */
static int open_listener(const struct link_service *service, const struct net_address *host)
{
	struct sockaddr_in6 address;
	socklen_t size = link_socket_address(host, DNS_PORT, &address);
	autoclose int fd = socket(host->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, service->address_link,
		       (socklen_t)strlen(service->address_link)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

int link_tcp_start(struct link_service *service)
{
	const struct net_address *hosts[] = {&service->lease.host4, &service->lease.host6};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hosts) && r >= 0; i++) {
		int fd = net_address_is_set(hosts[i]) ? open_listener(service, hosts[i]) : -1;

		if (fd < 0)
			continue; /* somebody's port, or no such family: UDP is answered anyhow */
		r = acceptor_open(&service->acceptors[i], service->loop, fd, on_accept, service);
		if (r < 0)
			(void)close(fd);
	}
	return r;
}

void link_tcp_done(struct link_service *service)
{
	for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
		if (service->connections[i])
			connection_free(service->connections[i]);
	for (size_t i = 0; i < ARRAY_SIZE(service->acceptors); i++)
		acceptor_close(&service->acceptors[i]);
}
