/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attached clients and the scrollback. Must never block on a client, nor queue more than
 * CLIENT_QUEUE_MAX for one. Supervisor's side.
 */
#include "supervise/clients.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/backlog.h"
#include "lib/fd.h"
#include "lib/macro.h"

#define FRAME_HEADER 3
#define FRAME_MAX 4096

struct client {
	struct console_clients *all;
	int fd; /* -1: free */
	bool is_watched;
	bool is_deaf; /* reads nothing any more; its input still counts */
	struct backlog queue;
	unsigned char frame[FRAME_HEADER + FRAME_MAX];
	size_t frame_size;
};

struct console_clients {
	struct event_loop *loop;
	client_input_fn input;
	client_resize_fn resize;
	void *userdata;
	bool is_held;
	struct client *slots[CLIENTS_MAX];
};

void scrollback_add(struct scrollback *back, const char *data, size_t size)
{
	if (!back->data)
		back->data = malloc(SCROLLBACK_MAX);
	if (!back->data)
		return;
	if (size > SCROLLBACK_MAX) {
		data += size - SCROLLBACK_MAX;
		size = SCROLLBACK_MAX;
	}
	for (size_t done = 0; done < size;) {
		size_t end = (back->start + back->size) % SCROLLBACK_MAX;
		size_t piece = MIN(size - done, SCROLLBACK_MAX - end);
		size_t over;

		memcpy(back->data + end, data + done, piece);
		done += piece;
		over = back->size + piece > SCROLLBACK_MAX ? back->size + piece - SCROLLBACK_MAX
							   : 0;
		back->size += piece - over;
		back->start = (back->start + over) % SCROLLBACK_MAX;
	}
}

void scrollback_done(struct scrollback *back)
{
	free(back->data);
	*back = (struct scrollback){};
}

static int on_client(struct event_loop *loop, int fd, uint32_t events, void *userdata);

static void client_drop(struct client *client)
{
	struct console_clients *all = client->all;

	if (client->is_watched)
		event_remove_fd(all->loop, client->fd);
	(void)close(client->fd);
	backlog_done(&client->queue);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (all->slots[i] == client)
			all->slots[i] = NULL;
	free(client);
}

/* Don't watch a client that has hung up while input is held: epoll would report it for ever. */
static int client_watch(struct client *client)
{
	struct event_loop *loop = client->all->loop;
	uint32_t events = client->all->is_held ? 0 : EPOLLIN;
	int r = 0;

	if (backlog_size(&client->queue) > 0)
		events |= EPOLLOUT;
	if (client->is_watched && events == 0 && client->is_deaf) {
		event_remove_fd(loop, client->fd);
		client->is_watched = false;
	} else if (client->is_watched) {
		r = event_change_fd(loop, client->fd, events);
	} else if (events != 0 || !client->is_deaf) {
		r = event_add_fd(loop, client->fd, events, on_client, client);
		client->is_watched = r >= 0;
	}
	return r;
}

static int client_make_deaf(struct client *client)
{
	client->is_deaf = true;
	backlog_done(&client->queue);
	return client_watch(client);
}

/* Sends as much as fits. -errno: drop the client. */
static int client_flush(struct client *client)
{
	while (backlog_size(&client->queue) > 0) {
		ssize_t n = send(client->fd, backlog_data(&client->queue),
				 backlog_size(&client->queue), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return client_make_deaf(client);
		backlog_drop(&client->queue, (size_t)n);
	}
	return client_watch(client);
}

static int client_send(struct client *client, const void *data, size_t size)
{
	int r;

	if (client->is_deaf)
		return 0;
	r = backlog_add(&client->queue, data, size, CLIENT_QUEUE_MAX);
	return r < 0 ? r : client_flush(client);
}

static unsigned be16(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* A complete frame. Ignores unknown types, which later versions may send. */
static void client_take_frame(struct client *client, unsigned char type, const unsigned char *data,
			      size_t size)
{
	struct console_clients *all = client->all;

	if (type == 'd')
		all->input(all->userdata, data, size);
	else if (type == 'w' && size == 4)
		all->resize(all->userdata, (uint16_t)be16(data), (uint16_t)be16(data + 2));
}

static int client_take_frames(struct client *client)
{
	while (client->frame_size >= FRAME_HEADER && !client->all->is_held) {
		size_t size = be16(client->frame + 1);
		size_t total = FRAME_HEADER + size;

		if (size > FRAME_MAX)
			return -EMSGSIZE;
		if (client->frame_size < total)
			return 0;
		client_take_frame(client, client->frame[0], client->frame + FRAME_HEADER, size);
		client->frame_size -= total;
		memmove(client->frame, client->frame + total, client->frame_size);
	}
	return 0;
}

static int client_read(struct client *client)
{
	ssize_t n = recv(client->fd, client->frame + client->frame_size,
			 sizeof(client->frame) - client->frame_size, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	client->frame_size += (size_t)n;
	return client_take_frames(client);
}

static int on_client(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct client *client = userdata;
	bool is_held = client->all->is_held;
	int r = 0;

	if (events & EPOLLOUT)
		r = client_flush(client);
	if (r >= 0 && is_held && (events & (EPOLLHUP | EPOLLERR)))
		r = client_make_deaf(client);
	if (r >= 0 && !is_held && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = client_read(client);
	if (r < 0)
		client_drop(client);
	return 0;
}

void console_clients_hold(struct console_clients *clients, bool on)
{
	clients->is_held = on;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = clients->slots[i];
		int r;

		if (!client)
			continue;
		/* Frames that have come already may fill the guest's queue again. */
		r = client_take_frames(client);
		if (r >= 0)
			r = client_watch(client);
		/* Not while it is held: then a frame of this client may be in use. */
		if (r < 0 && !on)
			client_drop(client);
	}
}

int console_clients_new(struct event_loop *loop, client_input_fn input, client_resize_fn resize,
			void *userdata, struct console_clients **ret)
{
	struct console_clients *clients = calloc(1, sizeof(*clients));

	if (!clients)
		return -ENOMEM;
	clients->loop = loop;
	clients->input = input;
	clients->resize = resize;
	clients->userdata = userdata;
	*ret = clients;
	return 0;
}

void console_clients_free(struct console_clients *clients)
{
	for (size_t i = 0; clients && i < CLIENTS_MAX; i++)
		if (clients->slots[i])
			client_drop(clients->slots[i]);
	free(clients);
}

static int client_greet(struct client *client, const struct scrollback *back)
{
	size_t first = MIN(back->size, SCROLLBACK_MAX - back->start);
	int r = 0;

	if (back->size > 0)
		r = client_send(client, back->data + back->start, first);
	if (r >= 0 && back->size > first)
		r = client_send(client, back->data, back->size - first);
	return r;
}

static size_t free_slot(const struct console_clients *clients)
{
	size_t i = 0;

	while (i < CLIENTS_MAX && clients->slots[i])
		i++;
	return i;
}

int console_clients_add(struct console_clients *clients, int fd, const struct scrollback *back)
{
	size_t slot = free_slot(clients);
	struct client *client = slot < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	int r;

	if (!client) {
		(void)close(fd);
		return slot < CLIENTS_MAX ? -ENOMEM : -EBUSY;
	}
	*client = (struct client){.all = clients, .fd = fd};
	r = client_watch(client);
	if (r < 0) {
		(void)close(fd);
		free(client);
		return r;
	}
	clients->slots[slot] = client;
	r = client_greet(client, back);
	if (r < 0)
		client_drop(client);
	return r;
}

void console_clients_send(struct console_clients *clients, const void *data, size_t size)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients->slots[i] && client_send(clients->slots[i], data, size) < 0)
			client_drop(clients->slots[i]);
}
