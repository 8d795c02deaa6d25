/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A single-threaded event loop over epoll. Sources are registered with a callback; one timer per
 * loop user through struct event_timer. With nothing to do it sleeps without a timeout: an idle
 * supervisor never wakes. Quiet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event_loop;

/* `events`: EPOLLIN, EPOLLOUT, EPOLLHUP, … A negative return ends event_run() with that number. */
typedef int (*event_fd_fn)(struct event_loop *loop, int fd, uint32_t events, void *userdata);
typedef int (*event_timer_fn)(struct event_loop *loop, void *userdata);

struct event_timer {
	uint64_t due_us; /* monotonic; USEC_INFINITY when not armed */
	event_timer_fn fn;
	void *userdata;
	struct event_timer *next;
};

int event_loop_new(struct event_loop **ret);
void event_loop_free(struct event_loop *loop);
static inline void event_loop_freep(struct event_loop **loop)
{
	event_loop_free(*loop);
}

/* The loop does not own fd. 0 or -errno. */
int event_add_fd(struct event_loop *loop, int fd, uint32_t events, event_fd_fn fn, void *userdata);
int event_change_fd(struct event_loop *loop, int fd, uint32_t events);
/* Call before closing fd. Safe inside callbacks, also for the source that is running. */
void event_remove_fd(struct event_loop *loop, int fd);

/* The timer is the caller's; it must stay until removed or fired. Re-arming moves it. */
void event_arm_timer(struct event_loop *loop, struct event_timer *timer, uint64_t due_us);
void event_disarm_timer(struct event_loop *loop, struct event_timer *timer);

/*
 * Fires, once, when nothing else has happened for between `after_us` and twice that; armed again by
 * whatever happens then. The timer is the caller's for as long as the loop lives.
 */
void event_set_quiet(struct event_loop *loop, struct event_timer *timer, uint64_t after_us);

/* Runs until event_exit() or a callback's error; returns the code given. */
int event_run(struct event_loop *loop);
void event_exit(struct event_loop *loop, int code);
