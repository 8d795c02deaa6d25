/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing to a descriptor that came from somebody else, a terminal, pipe, socket or file, without
 * ever waiting for whoever reads it. What is not taken at once waits in a bounded queue, and is
 * written when there is room. Quiet.
 *
 * The caller's descriptor keeps its flags: it may be shared with programs that can't cope with
 * O_NONBLOCK.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/backlog.h"
#include "lib/event.h"

struct outlet {
	struct event_loop *loop; /* NULL: the queue waits for outlet_attach() or outlet_finish() */
	int fd;			 /* -1: what is written is dropped */
	bool is_own;		 /* non-blocking, and closed by us */
	bool is_socket;
	bool is_watched;
	struct backlog backlog;
	size_t max;
	unsigned lost; /* writes that found no room since the caller last set it to 0 */
	struct event_timer retry;
	void (*on_empty)(void *userdata); /* the queue has become empty; may be NULL */
	void *userdata;
};

/* `fd` stays the caller's. At most `max` bytes wait. `outlet` must not move afterwards. */
void outlet_open(struct outlet *outlet, int fd, size_t max);
/* The same for a pipe or socket that nobody else writes to: `fd` is taken. */
void outlet_open_own(struct outlet *outlet, int fd, size_t max);
/* From now on the loop writes what waits; NULL: no more. */
void outlet_attach(struct outlet *outlet, struct event_loop *loop);
/*
 * Never blocks. 0 when it was written or waits, -ENOBUFS when there was no room and it was dropped,
 * another -errno when nobody can read it any more: then everything written later is dropped.
 */
int outlet_write(struct outlet *outlet, const void *data, size_t size);
static inline bool outlet_is_empty(const struct outlet *outlet)
{
	return backlog_size(&outlet->backlog) == 0;
}
/*
 * Writes the rest, waiting for the reader as an ordinary program does: for use when nobody depends
 * on us any more. Ends when `stop_fd` (or -1) becomes readable, and when nothing was read for
 * `timeout_ms` (-1: never).
 */
void outlet_finish(struct outlet *outlet, int stop_fd, int timeout_ms);
/* Drops what still waits. A zeroed outlet is none: don't. */
void outlet_close(struct outlet *outlet);
