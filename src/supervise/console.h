/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The console of a machine, from the supervisor's side: it has the master of a pty for each boot,
 * and outlives reboots. Loud.
 */
#pragma once

#include <stdint.h>

#include "lib/event.h"
#include "machine/consolelog.h"
#include "spec/spec.h"

struct console;

/* All borrowed for as long as the console exists. */
struct console_options {
	const char *machine;
	struct event_loop *loop;
	struct consolelog *log; /* NULL: no log is kept */
	enum spec_console mode;
	bool keeps_scrollback; /* for clients that attach later */
	/* The person at the terminal has typed the keys that leave. */
	void (*on_leave)(void *userdata);
	void *userdata;
};

int console_new(const struct console_options *options, struct console **ret);
/* Hands over a master (taken), or -1 for none. */
int console_connect(struct console *console, int pty_fd);
/* Reads what is left in the master after the machine's end, and closes it. */
void console_disconnect(struct console *console);
/* As outlet_finish(): waits until the caller has read the output. Call it when nothing else depends
 * on the supervisor. */
void console_finish(struct console *console, int stop_fd, int timeout_ms);
void console_free(struct console *console);
/* Takes `fd`. It gets the scrollback, then the stream; it sends frames of machine/control.h. */
int console_add_client(struct console *console, int fd, uint16_t rows, uint16_t columns);
void console_resize_from_terminal(struct console *console);
