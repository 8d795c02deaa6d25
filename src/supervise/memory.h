/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gives memory back while the supervisor is idle. Quiet. */
#pragma once

#include "lib/event.h"

/* Call it once after something has happened. `timer` is the watch's own until the loop ends. */
void memory_watch(struct event_loop *loop, struct event_timer *timer);
