/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listens for READY=1 from PID 1 of a machine. Quiet. */
#pragma once

#include <sys/types.h>

#include "lib/event.h"

struct notify {
	int fd;	   /* borrowed socket; -1: the machine has none */
	pid_t pid; /* the only process that is believed; 0: none */
	void (*on_ready)(void *userdata);
	void *userdata;
};

/* `notify` must stay where it is until notify_unwatch(). */
int notify_watch(struct event_loop *loop, struct notify *notify);
void notify_unwatch(struct event_loop *loop, struct notify *notify);
