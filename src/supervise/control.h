/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket of a machine: the methods of machine/control.h. Loud. */
#pragma once

#include "lib/event.h"
#include "machine/registry.h"

struct console;
struct control_server;
struct network;
struct stop;

/* What the methods read and act on, borrowed for as long as the server exists. */
struct control_target {
	const struct machine_state *state;
	struct stop *stop;
	struct console *console; /* NULL: nobody can attach */
	struct network *network;
};

int control_open(struct event_loop *loop, int machine_dir, struct control_target *target,
		 struct control_server **ret);
