/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Varlink connections. Must never wait for a client: a client that doesn't read its reply is
 * disconnected, an idle one is if another needs its place. Supervisor's side.
 */
#include "supervise/control_server.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/acceptor.h"
#include "lib/fd.h"
#include "lib/str.h"
#include "machine/control.h"

#define BACKLOG 32

struct control_connection {
	struct control_server *server;
	int fd;
	uint64_t last_heard; /* of the server's counter */
	struct buf input;
	bool was_handed_over; /* somebody else has the descriptor */
	const char *error;    /* of the method that runs: the name of its error reply */
};

struct control_server {
	struct event_loop *loop;
	const struct control_method *methods;
	size_t method_count;
	void *userdata;
	struct acceptor acceptor;
	uint64_t heard; /* counts what was heard from anybody */
	struct control_connection *connections[CONTROL_CONNECTIONS_MAX];
};

static void connection_free(struct control_connection *c)
{
	struct control_server *server = c->server;

	if (!c->was_handed_over) {
		event_remove_fd(server->loop, c->fd);
		(void)close(c->fd);
	}
	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		if (server->connections[i] == c)
			server->connections[i] = NULL;
	buf_done(&c->input);
	free(c);
}

/* Fails, and so disconnects, if the client doesn't read its replies. */
static int send_message(struct control_connection *c, const char *text, size_t size)
{
	return send(c->fd, text, size + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int reply(struct control_connection *c, struct json_object *out)
{
	autofree char *text = NULL;
	size_t size;
	int r = control_format_reply(out, &text, &size);

	return r < 0 ? r : send_message(c, text, size);
}

void control_fail_as(struct control_connection *connection, const char *error)
{
	connection->error = error;
}

int control_hand_over(struct control_connection *connection)
{
	int r = reply(connection, NULL);

	if (r < 0)
		return r;
	event_remove_fd(connection->server->loop, connection->fd);
	connection->was_handed_over = true;
	return connection->fd;
}

static int reply_error(struct control_connection *c, const char *error,
		       struct json_object *parameters)
{
	autofree char *text = NULL;
	size_t size;
	int r = control_format_error(error, parameters, &text, &size);

	return r < 0 ? r : send_message(c, text, size);
}

static const char *error_name(const struct control_connection *c, int error)
{
	if (c->error)
		return c->error;
	return error == -EINVAL ? "org.varlink.service.InvalidParameter"
				: CONTROL_INTERFACE ".NotAvailable";
}

static int dispatch(struct control_connection *c, const char *method, struct json_object *in)
{
	const struct control_server *server = c->server;

	for (size_t i = 0; i < server->method_count; i++) {
		struct json_object *out = NULL;
		int r;

		if (!streq(server->methods[i].name, method))
			continue;
		c->error = NULL;
		r = server->methods[i].fn(c, server->userdata, in, &out);
		if (c->was_handed_over)
			return -ECONNRESET;
		r = r < 0 ? reply_error(c, error_name(c, r), out) : reply(c, out);
		json_object_put(out);
		return r;
	}
	return reply_error(c, "org.varlink.service.MethodNotFound", NULL);
}

static int take_message(struct control_connection *c, const char *data, size_t size)
{
	struct json_object *message = NULL;
	struct json_object *in = NULL;
	const char *method;
	int r = control_parse_call(data, size, &message, &method, &in);

	if (r < 0)
		return r;
	r = dispatch(c, method, in);
	json_object_put(message);
	return r;
}

static int take_messages(struct control_connection *c)
{
	char *end;

	while (c->input.size > 0 && (end = memchr(c->input.data, '\0', c->input.size))) {
		size_t size = (size_t)(end - c->input.data);
		int r = take_message(c, c->input.data, size);

		if (r < 0)
			return r;
		c->input.size -= size + 1;
		memmove(c->input.data, end + 1, c->input.size);
	}
	return 0;
}

static int on_connection(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct control_connection *c = userdata;
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->last_heard = ++c->server->heard;
	if (n > 0) {
		buf_add(&c->input, data, (size_t)n);
		r = c->input.error < 0 ? c->input.error : take_messages(c);
	}
	if (n <= 0 || r < 0 || c->input.size > CONTROL_MESSAGE_MAX)
		connection_free(c);
	return 0;
}

static bool is_root(int fd)
{
	struct ucred peer = {};
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static struct control_connection **free_place(struct control_server *server)
{
	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		if (!server->connections[i])
			return &server->connections[i];
	return NULL;
}

/*
 * Closes the connection that has been silent for longest. Calls are answered at once, so it has no
 * reply to wait for. False: there is none.
 */
static bool drop_idle(void *userdata)
{
	struct control_server *server = userdata;
	struct control_connection *idle = NULL;

	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
		struct control_connection *c = server->connections[i];

		if (c && (!idle || c->last_heard < idle->last_heard))
			idle = c;
	}
	if (idle)
		connection_free(idle);
	return idle != NULL;
}

static int on_accept(int fd, const struct sockaddr_storage *peer, void *userdata)
{
	struct control_server *server = userdata;
	struct control_connection *c = is_root(fd) ? calloc(1, sizeof(*c)) : NULL;
	struct control_connection **place;
	int r;

	if (!c) {
		(void)close(fd);
		return 0;
	}
	if (!free_place(server))
		(void)drop_idle(server);
	place = free_place(server);
	*c = (struct control_connection){.server = server, .fd = fd, .last_heard = ++server->heard};
	*place = c;
	r = event_add_fd(server->loop, fd, EPOLLIN, on_connection, c);
	if (r < 0)
		connection_free(c);
	return r;
}

static int listen_at(int dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", dir);
	(void)unlinkat(dir, "control", 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

int control_server_new(struct event_loop *loop, int dir_fd, const struct control_method *methods,
		       size_t count, void *userdata, struct control_server **ret)
{
	struct control_server *server = calloc(1, sizeof(*server));
	autoclose int fd = server ? listen_at(dir_fd) : -ENOMEM;
	int r = fd;

	if (r >= 0) {
		*server = (struct control_server){
			.loop = loop,
			.methods = methods,
			.method_count = count,
			.userdata = userdata,
		};
		r = acceptor_open(&server->acceptor, loop, fd, on_accept, server);
	}
	if (r < 0) {
		free(server);
		return r;
	}
	server->acceptor.relieve = drop_idle;
	(void)take_fd(&fd);
	*ret = server;
	return 0;
}

void control_server_free(struct control_server *server)
{
	if (!server)
		return;
	while (drop_idle(server))
		;
	acceptor_close(&server->acceptor);
	free(server);
}
