/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's pending questions to the host's resolvers, over UDP. Each has a socket of its own,
 * and so a port that can't be guessed, and an id of its own. An answer is passed back only when id
 * and question match. Questions beyond the limit are dropped. Supervisor's side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/time.h"
#include "net/wire.h"
#include "serve/link_internal.h"

#define ANSWERS_AT_ONCE 16

struct link_question {
	struct link_service *service;
	struct link_question **slot;
	int fd; /* -1: none */
	struct event_timer timer;
	struct link_client client;
	struct dns_query query;
	unsigned tries;
	size_t room; /* of the client, and of the link */
	size_t size;
	uint8_t message[]; /* as sent */
};

static void question_hang_up(struct link_question *question)
{
	event_disarm_timer(question->service->loop, &question->timer);
	if (question->fd < 0)
		return;
	event_remove_fd(question->service->loop, question->fd);
	(void)close(question->fd);
	question->fd = -1;
}

static void question_free(struct link_question *question)
{
	question_hang_up(question);
	*question->slot = NULL;
	free(question);
}

static void question_fail(struct link_question *question)
{
	uint8_t answer[DNS_UDP_MIN];
	size_t size =
		link_dns_fail(&question->query, question->message, DNS_RCODE_SERVFAIL, answer);

	link_send_udp(question->service, &question->client, DNS_PORT, answer, size);
	question_free(question);
}

static int on_answer(struct event_loop *loop, int fd, uint32_t events, void *userdata);

/* To the next server; 0 or -errno. */
static int question_ask_once(struct link_question *question)
{
	struct link_service *service = question->service;
	uint16_t id;
	int r;

	r = link_random_id(&id);
	if (r >= 0)
		r = question->fd = link_resolvers_connect(service, question->tries - 1, SOCK_DGRAM);
	if (r < 0)
		return r;
	wire_put16(question->message, id);
	/* The wire has the id that was drawn; the client's id is in the query. */
	if (send(question->fd, question->message, question->size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	r = event_add_fd(service->loop, question->fd, EPOLLIN, on_answer, question);
	if (r >= 0)
		event_arm_timer(service->loop, &question->timer, time_monotonic_us() + LINK_TRY_US);
	return r;
}

/* Frees the question when no server is left to ask. */
static void question_ask(struct link_question *question)
{
	while (question->tries < LINK_TRIES_MAX) {
		question_hang_up(question);
		question->tries++;
		if (question_ask_once(question) >= 0)
			return;
	}
	question_fail(question);
}

static int on_timeout(struct event_loop *loop, void *userdata)
{
	question_ask(userdata);
	return 0;
}

static void question_answer(struct link_question *question, uint8_t *answer, size_t size)
{
	size = dns_relay_answer(&question->query, answer, size, question->room);
	link_send_udp(question->service, &question->client, DNS_PORT, answer, size);
	question_free(question);
}

/* -EAGAIN: keeps waiting. Otherwise the question may have been freed. */
static int question_receive(struct link_question *question)
{
	uint8_t answer[LINK_FRAME_MAX];
	/* MSG_TRUNC gives the full length even if the answer was cut to the buffer. */
	ssize_t size = recv(question->fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
	int rcode;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (size < 0) {
		question_ask(question); /* refused: nobody is there */
		return 0;
	}
	rcode = dns_check_answer(&question->query, question->message, answer,
				 MIN((size_t)size, sizeof(answer)));
	if (rcode < 0)
		return rcode;
	if (link_resolvers_try_another(question->service, question->tries, rcode))
		question_ask(question);
	else
		question_answer(question, answer, (size_t)size);
	return 0;
}

static int on_answer(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	int r = -EBADMSG;

	/* Skips answers to other questions: the right one may be next. */
	for (unsigned i = 0; i < ANSWERS_AT_ONCE && r == -EBADMSG; i++)
		r = question_receive(userdata);
	return 0;
}

static bool is_same(const struct link_question *question, const struct link_client *client,
		    const struct dns_query *query)
{
	return question->client.port == client->port && question->query.id == query->id &&
	       question->query.type == query->type &&
	       net_address_equal(&question->client.client, &client->client) &&
	       strcmp(question->query.name, query->name) == 0;
}

/* NULL when none is free, or when the same question is pending: the client repeats it. */
static struct link_question **find_slot(struct link_service *service,
					const struct link_client *client,
					const struct dns_query *query)
{
	struct link_question **slot = NULL;

	for (size_t i = 0; i < LINK_QUESTIONS_MAX; i++) {
		if (!service->questions[i])
			slot = slot ? slot : &service->questions[i];
		else if (is_same(service->questions[i], client, query))
			return NULL;
	}
	return slot;
}

void link_forward_ask(struct link_service *service, const struct link_client *client,
		      const struct dns_query *query, const uint8_t *data, size_t size)
{
	struct link_question **slot = find_slot(service, client, query);
	struct link_question *question = slot ? malloc(sizeof(*question) + size) : NULL;

	if (!question)
		return;
	*question = (struct link_question){
		.service = service,
		.slot = slot,
		.fd = -1,
		.timer = {.due_us = USEC_INFINITY, .fn = on_timeout, .userdata = question},
		.client = *client,
		.query = *query,
		.room = MIN(dns_udp_size(query), link_udp_room(service, client->client.family)),
		.size = size,
	};
	memcpy(question->message, data, size);
	if (query->has_edns)
		wire_put16(question->message + query->edns_size_at, (uint16_t)question->room);
	*slot = question;
	if (link_resolvers_look(service) > 0)
		question_ask(question);
	else
		question_fail(question);
}

void link_forward_done(struct link_service *service)
{
	for (size_t i = 0; i < LINK_QUESTIONS_MAX; i++)
		if (service->questions[i])
			question_free(service->questions[i]);
}
