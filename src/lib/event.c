/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop. Must never call a source that has been removed, not even when its event was
 * already fetched, and never wakes without a reason. Parent side of clone() only.
 */
#include "lib/event.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "lib/time.h"

#define EVENTS_AT_ONCE 16

struct source {
	int fd;
	bool removed;
	event_fd_fn fn;
	void *userdata;
	struct source *next_removed;
};

struct event_loop {
	int epoll_fd;
	struct source **sources; /* indexed by descriptor */
	size_t capacity;
	struct source *removed;	    /* freed when no fetched event can lead to them */
	struct event_timer *timers; /* by due_us */
	struct event_timer *quiet;  /* or NULL */
	uint64_t quiet_us;
	bool was_active; /* since the quiet timer was armed */
	bool exiting;
	int code;
};

int event_loop_new(struct event_loop **ret)
{
	struct event_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

static void free_removed(struct event_loop *loop)
{
	while (loop->removed) {
		struct source *source = loop->removed;

		loop->removed = source->next_removed;
		free(source);
	}
}

void event_loop_free(struct event_loop *loop)
{
	int saved = errno;

	if (!loop)
		return;
	free_removed(loop);
	for (size_t i = 0; i < loop->capacity; i++)
		free(loop->sources[i]);
	free(loop->sources);
	(void)close(loop->epoll_fd);
	free(loop);
	errno = saved;
}

static struct source *find_source(struct event_loop *loop, int fd)
{
	return fd >= 0 && (size_t)fd < loop->capacity ? loop->sources[fd] : NULL;
}

static int make_room(struct event_loop *loop, int fd)
{
	size_t capacity = MAX(loop->capacity, (size_t)16);
	struct source **sources;

	if ((size_t)fd < loop->capacity)
		return 0;
	while (capacity <= (size_t)fd)
		capacity *= 2;
	sources = reallocarray(loop->sources, capacity, sizeof(*sources));
	if (!sources)
		return -ENOMEM;
	for (size_t i = loop->capacity; i < capacity; i++)
		sources[i] = NULL;
	loop->sources = sources;
	loop->capacity = capacity;
	return 0;
}

int event_add_fd(struct event_loop *loop, int fd, uint32_t events, event_fd_fn fn, void *userdata)
{
	autofree struct source *source = NULL;
	struct epoll_event event = {.events = events};
	int r;

	if (fd < 0)
		return -EBADF;
	if (find_source(loop, fd))
		return -EEXIST;
	r = make_room(loop, fd);
	if (r < 0)
		return r;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	*source = (struct source){.fd = fd, .fn = fn, .userdata = userdata};
	event.data.ptr = source;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	loop->sources[fd] = take_ptr(source);
	return 0;
}

int event_change_fd(struct event_loop *loop, int fd, uint32_t events)
{
	struct source *source = find_source(loop, fd);
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (!source)
		return -ENOENT;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void event_remove_fd(struct event_loop *loop, int fd)
{
	struct source *source = find_source(loop, fd);

	if (!source)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->sources[fd] = NULL;
	source->removed = true;
	source->next_removed = loop->removed;
	loop->removed = source;
}

void event_disarm_timer(struct event_loop *loop, struct event_timer *timer)
{
	for (struct event_timer **at = &loop->timers; *at; at = &(*at)->next)
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	timer->next = NULL;
	timer->due_us = USEC_INFINITY;
}

void event_arm_timer(struct event_loop *loop, struct event_timer *timer, uint64_t due_us)
{
	struct event_timer **at = &loop->timers;

	event_disarm_timer(loop, timer);
	if (due_us == USEC_INFINITY)
		return;
	timer->due_us = due_us;
	while (*at && (*at)->due_us <= due_us)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

/* Cheap, for it is done at every event: the timer is moved only when it fires too early. */
static void note_activity(struct event_loop *loop)
{
	if (!loop->quiet)
		return;
	loop->was_active = true;
	if (loop->quiet->due_us == USEC_INFINITY) {
		loop->was_active = false;
		event_arm_timer(loop, loop->quiet, time_monotonic_us() + loop->quiet_us);
	}
}

void event_set_quiet(struct event_loop *loop, struct event_timer *timer, uint64_t after_us)
{
	loop->quiet = timer;
	loop->quiet_us = after_us;
	event_disarm_timer(loop, timer);
	note_activity(loop);
}

static int fire_quiet(struct event_loop *loop)
{
	if (!loop->was_active)
		return loop->quiet->fn(loop, loop->quiet->userdata);
	note_activity(loop);
	return 0;
}

static int fire(struct event_loop *loop, struct event_timer *timer)
{
	int r;

	event_disarm_timer(loop, timer);
	if (timer == loop->quiet)
		return fire_quiet(loop);
	r = timer->fn(loop, timer->userdata);
	note_activity(loop);
	return r;
}

static size_t count_due(const struct event_loop *loop, uint64_t now_us)
{
	size_t n = 0;

	for (const struct event_timer *t = loop->timers; t && t->due_us <= now_us; t = t->next)
		n++;
	return n;
}

/* Each due timer once: one that re-arms itself in the past must not starve the descriptors. */
static int fire_timers(struct event_loop *loop)
{
	uint64_t now_us = loop->timers ? time_monotonic_us() : 0;

	for (size_t n = count_due(loop, now_us); n > 0 && !loop->exiting; n--) {
		struct event_timer *timer = loop->timers;
		int r;

		if (!timer || timer->due_us > now_us)
			break;
		r = fire(loop, timer);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Milliseconds to the next timer, rounded up so that it is due on waking; -1 for ever. */
static int wait_ms(const struct event_loop *loop)
{
	uint64_t now_us, left_ms;

	if (!loop->timers)
		return -1;
	now_us = time_monotonic_us();
	if (loop->timers->due_us <= now_us)
		return 0;
	left_ms = (loop->timers->due_us - now_us - 1) / USEC_PER_MSEC + 1;
	return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

static int dispatch(struct event_loop *loop)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, wait_ms(loop));
	int r = 0;

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n > 0)
		note_activity(loop);
	for (int i = 0; i < n && r >= 0 && !loop->exiting; i++) {
		struct source *source = events[i].data.ptr;

		if (!source->removed)
			r = source->fn(loop, source->fd, events[i].events, source->userdata);
	}
	free_removed(loop);
	return r;
}

int event_run(struct event_loop *loop)
{
	while (!loop->exiting) {
		int r = fire_timers(loop);

		if (r >= 0 && !loop->exiting)
			r = dispatch(loop);
		if (r < 0)
			return r;
	}
	loop->exiting = false;
	return loop->code;
}

void event_exit(struct event_loop *loop, int code)
{
	loop->exiting = true;
	loop->code = code;
}
