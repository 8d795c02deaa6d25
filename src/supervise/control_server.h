/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's side of a Varlink socket. It knows nothing of machines; machine/control.h describes
 * the protocol. Only root is answered, messages and connections are limited, and a new connection
 * replaces the one that has been idle for longest (S06, S07). Quiet.
 */
#pragma once

#include <stddef.h>

#include "lib/event.h"

struct json_object;
struct control_server;
struct control_connection;

#define CONTROL_CONNECTIONS_MAX 32

/*
 * Fills in the parameters of the reply (may stay NULL), or returns -errno for an error reply: the
 * error of control_fail_as() with these parameters, else by errno; -EINVAL: an invalid parameter.
 */
typedef int (*control_method_fn)(struct control_connection *connection, void *userdata,
				 struct json_object *in, struct json_object **out);

struct control_method {
	const char *name; /* in full */
	control_method_fn fn;
};

/* Listens at "control" in the directory. Borrows the directory and the methods. 0 or -errno. */
int control_server_new(struct event_loop *loop, int dir_fd, const struct control_method *methods,
		       size_t count, void *userdata, struct control_server **ret);
/* Closes the connections too. NULL is allowed. */
void control_server_free(struct control_server *server);

/* For a running method: its error reply has this name (a literal). */
void control_fail_as(struct control_connection *connection, const char *error);
/*
 * For a running method that has succeeded: sends an empty reply and returns the descriptor, which
 * the caller owns then. The method's return value is ignored. -errno: the connection is closed.
 */
int control_hand_over(struct control_connection *connection);
