/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients that `redd console` attached to a console, and the scrollback that they see first. Each
 * has a bounded queue; a client that doesn't read is disconnected. Quiet. machine/control.h
 * describes the stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/event.h"

#define SCROLLBACK_MAX (32 * 1024)
#define CLIENTS_MAX 16
#define CLIENT_QUEUE_MAX (256 * 1024)

/* The last bytes of the console. Allocates memory with the first. */
struct scrollback {
	char *data; /* SCROLLBACK_MAX bytes */
	size_t start;
	size_t size;
};

void scrollback_add(struct scrollback *back, const char *data, size_t size);
void scrollback_done(struct scrollback *back);

struct console_clients;

typedef void (*client_input_fn)(void *userdata, const void *data, size_t size);
typedef void (*client_resize_fn)(void *userdata, uint16_t rows, uint16_t columns);

int console_clients_new(struct event_loop *loop, client_input_fn input, client_resize_fn resize,
			void *userdata, struct console_clients **ret);
void console_clients_free(struct console_clients *clients);
/* Takes fd, also on error. -EBUSY: there are CLIENTS_MAX. */
int console_clients_add(struct console_clients *clients, int fd, const struct scrollback *back);
void console_clients_send(struct console_clients *clients, const void *data, size_t size);
/*
 * While held, no input is read, since the machine doesn't read any. The input function may call it:
 * what its client has sent after that is kept.
 */
void console_clients_hold(struct console_clients *clients, bool on);
