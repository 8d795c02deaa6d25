/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's Varlink socket: machine/control.h says what it speaks. Only root is answered,
 * messages and connections are bounded, nobody can hold up the loop (S06, S07).
 * Supervisor's side.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/control.h"
#include "supervise/internal.h"
#include "supervise/network.h"

#define CONNECTIONS_MAX 32
#define BACKLOG 32

struct connection {
	struct control_server *server;
	int fd;
	struct buf input;
	bool was_handed_over; /* the console has the descriptor */
	const char *error;    /* of the method that runs: the name of its error reply */
};

struct control_server {
	struct supervisor *s;
	int fd;
	struct connection *connections[CONNECTIONS_MAX];
};

/*
 * Fills in the reply's parameters (may stay NULL) or returns -errno for an error reply: that of
 * c->error with these parameters, else -EINVAL for a parameter that is none.
 */
typedef int (*method_fn)(struct connection *c, struct json_object *in, struct json_object **out);

static void connection_free(struct connection *c)
{
	struct control_server *server = c->server;

	if (!c->was_handed_over) {
		event_remove_fd(server->s->loop, c->fd);
		(void)close(c->fd);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i] == c)
			server->connections[i] = NULL;
	buf_done(&c->input);
	free(c);
}

/* *ret stays as it is when the parameter is not given. -EINVAL: not a number of 0 to `max`. */
static int take_number(struct json_object *in, const char *name, int64_t max, int64_t *ret)
{
	struct json_object *value = NULL;
	int64_t number;

	if (!in || !json_object_object_get_ex(in, name, &value) || !value)
		return 0;
	number = json_object_get_int64(value);
	if (!json_object_is_type(value, json_type_int) || number < 0 || number > max)
		return -EINVAL;
	*ret = number;
	return 0;
}

static int method_describe(struct connection *c, struct json_object *in, struct json_object **out)
{
	*out = machine_state_to_json(&c->server->s->state);
	return *out ? 0 : -ENOMEM;
}

static int method_power_off(struct connection *c, struct json_object *in, struct json_object **out)
{
	struct supervisor *s = c->server->s;
	int64_t timeout_us = -1;
	int r = take_number(in, "timeoutUSec", INT64_MAX, &timeout_us);

	if (r < 0)
		return r;
	r = stop_ask(s, timeout_us < 0 ? s->spec->stop_timeout_us : (uint64_t)timeout_us);
	return r == -EINVAL ? -EIO : r;
}

static int method_reboot(struct connection *c, struct json_object *in, struct json_object **out)
{
	return stop_ask_reboot(c->server->s);
}

static int method_terminate(struct connection *c, struct json_object *in, struct json_object **out)
{
	stop_kill(c->server->s);
	return 0;
}

/* A client that does not read what it asked for is let go. */
static int send_message(struct connection *c, const char *text, size_t size)
{
	return send(c->fd, text, size + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int reply(struct connection *c, struct json_object *out)
{
	autofree char *text = NULL;
	size_t size;
	int r = control_format_reply(out, &text, &size);

	return r < 0 ? r : send_message(c, text, size);
}

/* After the reply the connection is the console's. */
static int method_attach(struct connection *c, struct json_object *in, struct json_object **out)
{
	struct supervisor *s = c->server->s;
	int64_t rows = 0;
	int64_t columns = 0;
	int r = take_number(in, "rows", UINT16_MAX, &rows);

	if (r >= 0)
		r = take_number(in, "columns", UINT16_MAX, &columns);
	if (r < 0)
		return r;
	if (!s->console || s->spec->console == SPEC_CONSOLE_PIPE)
		return -ENOTTY;
	r = reply(c, NULL);
	if (r < 0)
		return r;
	event_remove_fd(s->loop, c->fd);
	c->was_handed_over = true;
	return console_add_client(s->console, c->fd, (uint16_t)rows, (uint16_t)columns);
}

static int method_list_ports(struct connection *c, struct json_object *in, struct json_object **out)
{
	size_t count;
	const struct net_port *ports = network_ports(c->server->s->network, &count);
	struct json_object *list = json_object_new_array();
	char text[NET_PORT_TEXT];

	for (size_t i = 0; i < count; i++)
		(void)json_object_array_add(
			list, json_object_new_string(net_port_format(&ports[i], text)));
	*out = json_object_new_object();
	return json_object_object_add(*out, "ports", list) < 0 ? -ENOMEM : 0;
}

static int take_port(struct json_object *in, struct net_port *ret)
{
	struct json_object *value = NULL;

	if (!in || !json_object_object_get_ex(in, "port", &value) ||
	    !json_object_is_type(value, json_type_string))
		return -EINVAL;
	return net_port_parse(json_object_get_string(value), ret) < 0 ? -EINVAL : 0;
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	if (text)
		(void)json_object_object_add(object, key, json_object_new_string(text));
}

static int method_add_port(struct connection *c, struct json_object *in, struct json_object **out)
{
	autocall(ports_failure_done) struct ports_failure failure = {};
	char text[NET_PORT_TEXT];
	struct net_port port;
	int r = take_port(in, &port);

	if (r < 0)
		return r;
	r = network_add_port(c->server->s->network, &port, &failure);
	if (r >= 0 || !failure.text)
		return r == -EINVAL ? -EIO : r;
	c->error =
		r == -EADDRINUSE ? CONTROL_INTERFACE ".PortTaken" : CONTROL_INTERFACE ".PortFailed";
	*out = json_object_new_object();
	add_text(*out, "reason", failure.text);
	add_text(*out, "owner", failure.owner);
	if (r == -EADDRINUSE)
		add_text(*out, "port", net_port_format(&failure.port, text));
	return r;
}

static int method_remove_port(struct connection *c, struct json_object *in,
			      struct json_object **out)
{
	struct net_port port;
	int r = take_port(in, &port);

	if (r < 0)
		return r;
	r = network_remove_port(c->server->s->network, &port);
	if (r == -ENOENT)
		c->error = CONTROL_INTERFACE ".NoSuchPort";
	return r;
}

static const struct {
	const char *name;
	method_fn fn;
} methods[] = {
	{CONTROL_INTERFACE ".Describe", method_describe},
	{CONTROL_INTERFACE ".PowerOff", method_power_off},
	{CONTROL_INTERFACE ".Reboot", method_reboot},
	{CONTROL_INTERFACE ".Terminate", method_terminate},
	{CONTROL_INTERFACE ".AttachConsole", method_attach},
	{CONTROL_INTERFACE ".ListPorts", method_list_ports},
	{CONTROL_INTERFACE ".AddPort", method_add_port},
	{CONTROL_INTERFACE ".RemovePort", method_remove_port},
};

static int reply_error(struct connection *c, const char *error, struct json_object *parameters)
{
	autofree char *text = NULL;
	size_t size;
	int r = control_format_error(error, parameters, &text, &size);

	return r < 0 ? r : send_message(c, text, size);
}

static const char *error_name(const struct connection *c, int error)
{
	if (c->error)
		return c->error;
	return error == -EINVAL ? "org.varlink.service.InvalidParameter"
				: CONTROL_INTERFACE ".NotAvailable";
}

static int dispatch(struct connection *c, const char *method, struct json_object *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		struct json_object *out = NULL;
		int r;

		if (!streq(methods[i].name, method))
			continue;
		c->error = NULL;
		r = methods[i].fn(c, in, &out);
		if (c->was_handed_over)
			return -ECONNRESET;
		r = r < 0 ? reply_error(c, error_name(c, r), out) : reply(c, out);
		json_object_put(out);
		return r;
	}
	return reply_error(c, "org.varlink.service.MethodNotFound", NULL);
}

static int take_message(struct connection *c, const char *data, size_t size)
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

static int take_messages(struct connection *c)
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
	struct connection *c = userdata;
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
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

static struct connection **free_place(struct control_server *server)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (!server->connections[i])
			return &server->connections[i];
	return NULL;
}

static int on_connect(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct control_server *server = userdata;
	struct connection **place = free_place(server);
	struct connection *c;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return 0;
	c = place && is_root(peer) ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		(void)close(peer);
		return 0;
	}
	*c = (struct connection){.server = server, .fd = peer};
	*place = c;
	if (event_add_fd(loop, peer, EPOLLIN, on_connection, c) < 0)
		connection_free(c);
	return 0;
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

int control_server_new(struct supervisor *s, struct control_server **ret)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return log_oom();
	server->s = s;
	server->fd = listen_at(s->machine_dir);
	r = server->fd < 0 ? server->fd
			   : event_add_fd(s->loop, server->fd, EPOLLIN, on_connect, server);
	if (r < 0) {
		control_server_free(server);
		return log_errno(r, "make the control socket of machine %s", s->spec->machine);
	}
	*ret = server;
	return 0;
}

void control_server_free(struct control_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i])
			connection_free(server->connections[i]);
	if (server->fd >= 0) {
		event_remove_fd(server->s->loop, server->fd);
		(void)close(server->fd);
	}
	free(server);
}
