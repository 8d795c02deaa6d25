// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Varlink messages, and the client's end of the socket. Must never read past a reply's NUL: after
 * an upgraded call the console's stream follows. Host side of clone().
 */
#include "machine/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"

#define JSON_DEPTH_MAX 16

int control_connect(int machine_dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control",
		       machine_dir);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? -ESRCH : -errno;
	return take_fd(&fd);
}

int control_open_server(int socket)
{
	struct ucred peer = {};
	socklen_t size = sizeof(peer);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return peer.pid > 1 ? sys_pidfd_open(peer.pid, 0) : -ESRCH;
}

static void json_put(struct json_object **object)
{
	json_object_put(*object);
}

/* Parses `data` as exactly one JSON object. -EBADMSG for anything else. */
static int parse_object(const char *data, size_t size, struct json_object **ret)
{
	struct json_tokener *tokener;
	struct json_object *object;
	bool ok;

	if (size == 0 || size > CONTROL_MESSAGE_MAX || memchr(data, 0, size))
		return -EBADMSG;
	tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, data, (int)size);
	ok = object && json_tokener_get_error(tokener) == json_tokener_success &&
	     json_tokener_get_parse_end(tokener) == size &&
	     json_object_is_type(object, json_type_object);
	json_tokener_free(tokener);
	if (!ok) {
		json_object_put(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

/* The member, when it has that type; an absent one is NULL. -EBADMSG for another type. */
static int get_member(struct json_object *object, const char *key, enum json_type type,
		      struct json_object **ret)
{
	struct json_object *value = NULL;

	(void)json_object_object_get_ex(object, key, &value);
	if (value && !json_object_is_type(value, type))
		return -EBADMSG;
	*ret = value;
	return 0;
}

int control_parse_call(const char *data, size_t size, struct json_object **ret_message,
		       const char **ret_method, struct json_object **ret_parameters)
{
	autocall(json_put) struct json_object *message = NULL;
	struct json_object *method, *parameters;
	int r;

	r = parse_object(data, size, &message);
	if (r < 0)
		return r;
	r = get_member(message, "method", json_type_string, &method);
	if (r >= 0)
		r = get_member(message, "parameters", json_type_object, &parameters);
	if (r < 0)
		return r;
	/* A name with a NUL inside would compare equal to what it is not. */
	if (!method ||
	    strlen(json_object_get_string(method)) != (size_t)json_object_get_string_len(method))
		return -EBADMSG;
	*ret_method = json_object_get_string(method);
	*ret_parameters = parameters;
	*ret_message = take_ptr(message);
	return 0;
}

static int format(struct json_object *message, char **ret, size_t *ret_size)
{
	const char *text;

	if (!message)
		return -ENOMEM;
	text = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE);
	if (!text)
		return -ENOMEM;
	*ret = strdup(text);
	if (!*ret)
		return -ENOMEM;
	*ret_size = strlen(text);
	return 0;
}

/* Borrows `parameters`; NULL is an empty object. */
static int add_parameters(struct json_object *message, struct json_object *parameters)
{
	struct json_object *value =
		parameters ? json_object_get(parameters) : json_object_new_object();

	if (!message || !value || json_object_object_add(message, "parameters", value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

int control_format_reply(struct json_object *parameters, char **ret, size_t *ret_size)
{
	autocall(json_put) struct json_object *message = json_object_new_object();
	int r = add_parameters(message, parameters);

	return r < 0 ? r : format(message, ret, ret_size);
}

int control_format_error(const char *error, struct json_object *parameters, char **ret,
			 size_t *ret_size)
{
	autocall(json_put) struct json_object *message = json_object_new_object();
	int r = add_parameters(message, parameters);

	if (r < 0)
		return r;
	if (json_object_object_add(message, "error", json_object_new_string(error)) < 0)
		return -ENOMEM;
	return format(message, ret, ret_size);
}

static int format_call(const char *method, struct json_object *parameters, char **ret,
		       size_t *ret_size)
{
	autocall(json_put) struct json_object *message = json_object_new_object();
	autofree char *full =
		strchr(method, '.') ? strdup(method) : str_printf(CONTROL_INTERFACE ".%s", method);
	int r = add_parameters(message, parameters);

	if (r < 0 || !full)
		return -ENOMEM;
	if (json_object_object_add(message, "method", json_object_new_string(full)) < 0)
		return -ENOMEM;
	if (str_has_suffix(full, ".AttachConsole") &&
	    json_object_object_add(message, "upgrade", json_object_new_boolean(true)) < 0)
		return -ENOMEM;
	return format(message, ret, ret_size);
}

/* Peeks first, so that bytes after the NUL stay in the socket. */
static int receive_message(int socket, struct buf *b)
{
	for (;;) {
		char chunk[4096], *end;
		ssize_t n = recv(socket, chunk, sizeof(chunk), MSG_PEEK);
		size_t take;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		end = memchr(chunk, 0, (size_t)n);
		take = end ? (size_t)(end - chunk) : (size_t)n;
		if (b->size + take > CONTROL_MESSAGE_MAX)
			return -EMSGSIZE;
		buf_add(b, chunk, take);
		n = recv(socket, chunk, take + (end ? 1 : 0), 0);
		if (n < 0)
			return -errno;
		if (end)
			return b->error;
	}
}

static int parse_reply(const struct buf *b, struct json_object **ret_reply, char **ret_error)
{
	autocall(json_put) struct json_object *message = NULL;
	struct json_object *error, *parameters;
	int r;

	r = parse_object(b->data, b->size, &message);
	if (r >= 0)
		r = get_member(message, "error", json_type_string, &error);
	if (r >= 0)
		r = get_member(message, "parameters", json_type_object, &parameters);
	if (r < 0)
		return r;
	if (error) {
		char *name = strdup(json_object_get_string(error));

		if (!name)
			return -ENOMEM;
		*ret_error = name;
		*ret_reply = json_object_get(parameters);
		return -EREMOTE;
	}
	*ret_reply = parameters ? json_object_get(parameters) : json_object_new_object();
	return *ret_reply ? 0 : -ENOMEM;
}

int control_call(int socket, const char *method, struct json_object *parameters,
		 struct json_object **ret_reply, char **ret_error)
{
	autofree char *call = NULL;
	autobuf struct buf b = {};
	size_t size;
	int r;

	r = format_call(method, parameters, &call, &size);
	if (r >= 0)
		r = fd_send(socket, call, size + 1, NULL, 0);
	if (r >= 0)
		r = receive_message(socket, &b);
	return r < 0 ? r : parse_reply(&b, ret_reply, ret_error);
}
