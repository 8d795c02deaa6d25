/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attached consoles and the back-scroll. Must never block on a client. Supervisor's side. */
#include "supervise/clients.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"

#define FRAME_HEADER 3
#define FRAME_MAX 4096

struct client {
	struct console_clients *all;
	int fd; /* -1: free */
	struct buf queue;
	size_t sent; /* of the queue */
	unsigned char frame[FRAME_HEADER + FRAME_MAX];
	size_t frame_size;
};

struct console_clients {
	struct event_loop *loop;
	client_input_fn input;
	client_resize_fn resize;
	void *userdata;
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

static void client_drop(struct client *client)
{
	struct console_clients *all = client->all;

	event_remove_fd(all->loop, client->fd);
	(void)close(client->fd);
	buf_done(&client->queue);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (all->slots[i] == client)
			all->slots[i] = NULL;
	free(client);
}

/* Sends what fits. -errno when the client is gone. */
static int client_flush(struct client *client)
{
	while (client->sent < client->queue.size) {
		ssize_t n = send(client->fd, client->queue.data + client->sent,
				 client->queue.size - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return event_change_fd(client->all->loop, client->fd, EPOLLIN | EPOLLOUT);
		if (n < 0)
			return -errno;
		client->sent += (size_t)n;
	}
	buf_done(&client->queue);
	client->queue = (struct buf){};
	client->sent = 0;
	return event_change_fd(client->all->loop, client->fd, EPOLLIN);
}

static int client_send(struct client *client, const void *data, size_t size)
{
	if (client->queue.size - client->sent + size > CLIENT_QUEUE_MAX)
		return -ENOBUFS;
	buf_add(&client->queue, data, size);
	return client->queue.error < 0 ? client->queue.error : client_flush(client);
}

static unsigned be16(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* One whole frame. Unknown types are for later versions: passed over. */
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
	while (client->frame_size >= FRAME_HEADER) {
		size_t size = be16(client->frame + 1);
		size_t whole = FRAME_HEADER + size;

		if (size > FRAME_MAX)
			return -EMSGSIZE;
		if (client->frame_size < whole)
			return 0;
		client_take_frame(client, client->frame[0], client->frame + FRAME_HEADER, size);
		client->frame_size -= whole;
		memmove(client->frame, client->frame + whole, client->frame_size);
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
	int r = 0;

	if (events & EPOLLOUT)
		r = client_flush(client);
	if (r >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = client_read(client);
	if (r < 0)
		client_drop(client);
	return 0;
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
	r = event_add_fd(clients->loop, fd, EPOLLIN, on_client, client);
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
