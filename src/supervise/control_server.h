/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's side of a Varlink socket, which knows nothing of machines: machine/control.h says
 * what it speaks. Only root is answered, messages and connections are bounded, and whoever is idle
 * gives way to whoever comes (S06, S07). Quiet.
 */
#pragma once

#include <stddef.h>

#include "lib/event.h"

struct json_object;
struct control_server;
struct control_connection;

#define CONTROL_CONNECTIONS_MAX 32

/*
 * Fills in the reply's parameters (may stay NULL) or returns -errno for an error reply: that of
 * control_fail_as() with these parameters, else -EINVAL for a parameter that is none.
 */
typedef int (*control_method_fn)(struct control_connection *connection, void *userdata,
				 struct json_object *in, struct json_object **out);

struct control_method {
	const char *name; /* in full */
	control_method_fn fn;
};

/* Listens at "control" in the directory, which is borrowed as the methods are. 0 or -errno. */
int control_server_new(struct event_loop *loop, int dir_fd, const struct control_method *methods,
		       size_t count, void *userdata, struct control_server **ret);
/* Ends the connections too; NULL is fine. */
void control_server_free(struct control_server *server);

/* The method that runs fails with this error, a literal. */
void control_fail_as(struct control_connection *connection, const char *error);
/*
 * The method that runs has succeeded: sends an empty reply, and gives the descriptor to the caller.
 * Afterwards what the method returns is of no interest. -errno: the connection is ended.
 */
int control_hand_over(struct control_connection *connection);
