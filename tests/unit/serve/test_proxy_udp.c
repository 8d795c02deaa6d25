/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The UDP proxy: several clients, the source of answers, idle sessions, limits. */
#include "lib/time.h"
#include "net_world.h"
#include "serve/proxy_udp.h"

#define PORT 5353
#define GUEST "127.0.0.2"
#define GUEST_PORT 53
#define CLIENTS 20

struct scene {
	struct world *world;
	struct proxy_udp *proxy;
	int guest;
};

static const char owner[] = "owner";

static void listen_at(struct scene *s, const char *address)
{
	int fd = bound_socket(SOCK_DGRAM, address, PORT);
	const int on = 1;

	assert_true(fd >= 0);
	if (strchr(address, ':'))
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	assert_int_equal(fd_set_nonblock(fd, true), 0);
	assert_int_equal(proxy_udp_listen(s->proxy, fd, GUEST_PORT, owner), 0);
}

static void open_scene(struct scene *s, void **state, uint64_t idle_us)
{
	const struct proxy_target target = {.v4 = address_of(GUEST)};

	if (geteuid() != 0)
		skip();
	*s = (struct scene){.world = *state};
	assert_int_equal(proxy_udp_new(s->world->loop, idle_us, &s->proxy), 0);
	s->guest = bound_socket(SOCK_DGRAM, GUEST, GUEST_PORT);
	assert_true(s->guest >= 0);
	listen_at(s, "0.0.0.0");
	proxy_udp_set_target(s->proxy, &target);
}

static void close_scene(struct scene *s)
{
	proxy_udp_free(s->proxy);
	(void)close(s->guest);
}

/* Answers as many datagrams as the clients send. */
static const char *echo_guest(void *userdata)
{
	struct scene *s = userdata;

	for (int i = 0; i < CLIENTS * 2; i++) {
		struct sockaddr_in6 peer;
		socklen_t size = sizeof(peer);
		char data[64];
		ssize_t n =
			recvfrom(s->guest, data, sizeof(data), 0, (struct sockaddr *)&peer, &size);

		if (n < 0 ||
		    sendto(s->guest, data, (size_t)n, 0, (struct sockaddr *)&peer, size) != n)
			return "guest answers";
	}
	return NULL;
}

static bool is_answered(int fd, const char *text)
{
	char data[64] = {};

	return recv(fd, data, sizeof(data) - 1, 0) == (ssize_t)strlen(text) &&
	       strcmp(data, text) == 0;
}

/* A connected socket accepts answers only from the address that it asked. */
static const char *clients(void *userdata)
{
	const char *wrong = NULL;
	int fds[CLIENTS];
	char text[16];

	for (int i = 0; i < CLIENTS; i++) {
		(void)snprintf(text, sizeof(text), "127.0.0.%d", 10 + i % 3);
		fds[i] = connected_socket(SOCK_DGRAM, text, PORT);
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			int n = snprintf(text, sizeof(text), "word %d.%d", round, i);

			if (send(fds[i], text, (size_t)n, 0) != n)
				wrong = "client asks";
		}
		for (int i = 0; i < CLIENTS; i++) {
			(void)snprintf(text, sizeof(text), "word %d.%d", round, i);
			if (!wrong && !is_answered(fds[i], text))
				wrong = "an answer is missing, or somebody else's";
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		(void)close(fds[i]);
	return wrong;
}

static void test_several_clients(void **state)
{
	struct scene s;

	open_scene(&s, state, PROXY_UDP_IDLE_US);
	add_actor(s.world, clients, &s);
	add_actor(s.world, echo_guest, &s);
	play(s.world);
	assert_int_equal(proxy_udp_count(s.proxy), CLIENTS);
	proxy_udp_drop(s.proxy, owner);
	assert_int_equal(proxy_udp_count(s.proxy), 0);
	close_scene(&s);
}

static bool guest_answers(int guest)
{
	struct sockaddr_in6 peer;
	socklen_t size = sizeof(peer);
	char data[8];
	ssize_t n = recvfrom(guest, data, sizeof(data), 0, (struct sockaddr *)&peer, &size);

	return n == 4 && sendto(guest, "pong", 4, 0, (struct sockaddr *)&peer, size) == 4;
}

static const char *v6_client(void *userdata)
{
	struct scene *s = userdata;
	int fd = connected_socket(SOCK_DGRAM, "::1", PORT);
	const char *wrong = NULL;

	if (send(fd, "ping", 4, 0) != 4 || !guest_answers(s->guest))
		wrong = "it does not come to the guest";
	else if (!is_answered(fd, "pong"))
		wrong = "no answer";
	(void)close(fd);
	return wrong;
}

static void test_across_families(void **state)
{
	struct scene s;

	open_scene(&s, state, PROXY_UDP_IDLE_US);
	listen_at(&s, "::1");
	add_actor(s.world, v6_client, &s);
	play(s.world);
	close_scene(&s);
}

/* The first question goes to a port without a service and is lost; the next, from another port,
 * isn't. */
static const char *asking_again(void *userdata)
{
	struct scene *s = userdata;
	struct pollfd poll_fd = {.fd = s->guest, .events = POLLIN};
	bool has_come = false;

	for (int i = 0; i < 200 && !has_come; i++) {
		int fd = connected_socket(SOCK_DGRAM, "::1", PORT);

		has_come = send(fd, "ping", 4, 0) == 4 && poll(&poll_fd, 1, 50) > 0;
		has_come = has_come && guest_answers(s->guest) && is_answered(fd, "pong");
		(void)close(fd);
	}
	return has_come ? NULL : "it does not come to the guest";
}

static void test_other_family_when_refused(void **state)
{
	const struct proxy_target target = {.v4 = address_of(GUEST), .v6 = address_of("::1")};
	struct scene s;

	open_scene(&s, state, PROXY_UDP_IDLE_US);
	listen_at(&s, "::1");
	proxy_udp_set_target(s.proxy, &target);
	add_actor(s.world, asking_again, &s);
	play(s.world);
	close_scene(&s);
}

static int on_later(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

static const char *asking_client(void *userdata)
{
	struct scene *s = userdata;
	int fd = connected_socket(SOCK_DGRAM, "127.0.0.1", PORT);
	char byte;
	bool ok = send(fd, "x", 1, 0) == 1 && recv(s->guest, &byte, 1, 0) == 1;

	(void)close(fd);
	return ok ? NULL : "it does not come to the guest";
}

static void test_idle_sessions_end(void **state)
{
	struct event_timer later = {.fn = on_later, .due_us = UINT64_MAX};
	struct scene s;

	open_scene(&s, state, 1);
	add_actor(s.world, asking_client, &s);
	play(s.world);
	/* After the timer of the sessions, which was due long ago. */
	event_arm_timer(s.world->loop, &later, time_monotonic_us());
	assert_int_equal(event_run(s.world->loop), 0);
	assert_int_equal(proxy_udp_count(s.proxy), 0);
	close_scene(&s);
}

#define FLOOD (PROXY_UDP_SESSIONS_MAX + 50)

/* All at once, so that no two have the same port. */
static const char *flood(void *userdata)
{
	struct scene *s = userdata;
	const char *wrong = NULL;
	int fds[FLOOD];
	char byte;

	for (int i = 0; i < FLOOD; i++) {
		fds[i] = connected_socket(SOCK_DGRAM, "127.0.0.1", PORT);
		if (!wrong && (send(fds[i], "x", 1, 0) != 1 || recv(s->guest, &byte, 1, 0) != 1))
			wrong = "one of a flood does not come to the guest";
	}
	for (int i = 0; i < FLOOD; i++)
		(void)close(fds[i]);
	return wrong;
}

/* security row: N14 */
static void test_sessions_are_bounded(void **state)
{
	struct scene s;

	open_scene(&s, state, PROXY_UDP_IDLE_US);
	add_actor(s.world, flood, &s);
	play(s.world);
	/* The last client is served: a session without an answer is dropped. */
	assert_int_equal(proxy_udp_count(s.proxy), PROXY_UDP_SESSIONS_MAX);
	listen_at(&s, "::1");
	add_actor(s.world, v6_client, &s);
	play(s.world);
	assert_int_equal(proxy_udp_count(s.proxy), PROXY_UDP_SESSIONS_MAX);
	close_scene(&s);
}

#define proxy_test(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		proxy_test(test_several_clients),	    proxy_test(test_across_families),
		proxy_test(test_other_family_when_refused), proxy_test(test_idle_sessions_end),
		proxy_test(test_sessions_are_bounded),
	};

	return cmocka_run_group_tests(tests, own_network, NULL);
}
