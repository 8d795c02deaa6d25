/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TCP proxy with real sockets: large data, half-closed connections, slow readers, resets,
 * limits. */
#include <time.h>

#include "lib/time.h"
#include "net_world.h"
#include "serve/proxy.h"

#define PORT 8080
#define GUEST "127.0.0.2"
#define GUEST_PORT 80
#define MUCH (24 * 1024 * 1024)
#define MANY 300

struct scene {
	struct world *world;
	struct proxy *proxy;
	int guest; /* the machine's listening socket */
};

static const char owner[] = "owner";

static void set_target(struct scene *s, const char *v4, const char *v6)
{
	const struct proxy_target target = {.v4 = address_of(v4), .v6 = address_of(v6)};

	proxy_set_target(s->proxy, &target);
}

static void listen_at(struct scene *s, const char *address, uint16_t guest_port)
{
	int fd = bound_socket(SOCK_STREAM, address, PORT);

	assert_true(fd >= 0);
	assert_int_equal(fd_set_nonblock(fd, true), 0);
	assert_int_equal(proxy_listen(s->proxy, fd, guest_port, owner), 0);
}

static void open_scene(struct scene *s, void **state)
{
	if (geteuid() != 0)
		skip();
	*s = (struct scene){.world = *state};
	assert_int_equal(proxy_new(s->world->loop, &s->proxy), 0);
	s->guest = bound_socket(SOCK_STREAM, GUEST, GUEST_PORT);
	assert_true(s->guest >= 0);
	listen_at(s, "127.0.0.1", GUEST_PORT);
	set_target(s, GUEST, NULL);
}

static void close_scene(struct scene *s)
{
	proxy_free(s->proxy);
	(void)close(s->guest);
}

static unsigned char byte_at(size_t offset, unsigned seed)
{
	return (unsigned char)((offset * 2654435761U + seed) >> 11);
}

struct stream {
	int fd;
	unsigned seed;
	const char *wrong;
};

static void *send_much(void *userdata)
{
	struct stream *stream = userdata;
	unsigned char data[50000];

	for (size_t done = 0; done < MUCH;) {
		size_t size = MIN(sizeof(data), MUCH - done);
		ssize_t n;

		for (size_t i = 0; i < size; i++)
			data[i] = byte_at(done + i, stream->seed);
		n = send(stream->fd, data, size, MSG_NOSIGNAL);
		if (n <= 0) {
			stream->wrong = "send much";
			return NULL;
		}
		done += (size_t)n;
	}
	(void)shutdown(stream->fd, SHUT_WR);
	return NULL;
}

static const char *receive_much(int fd, unsigned seed)
{
	unsigned char data[30000];
	size_t done = 0;
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (data[i] != byte_at(done + (size_t)i, seed))
				return "a byte is not what was sent";
		done += (size_t)n;
	}
	return n < 0 ? "receive much" : done == MUCH ? NULL : "not as much as was sent";
}

static const char *exchange_much(int fd, unsigned ours, unsigned theirs)
{
	struct stream stream = {.fd = fd, .seed = ours};
	const char *wrong;
	pthread_t sender;

	if (pthread_create(&sender, NULL, send_much, &stream) != 0)
		return "thread";
	wrong = receive_much(fd, theirs);
	(void)pthread_join(sender, NULL);
	(void)close(fd);
	return wrong ? wrong : stream.wrong;
}

static const char *much_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);

	return fd < 0 ? "connect" : exchange_much(fd, 1, 2);
}

static const char *much_guest(void *userdata)
{
	struct scene *s = userdata;
	int fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);

	return fd < 0 ? "accept" : exchange_much(fd, 2, 1);
}

static void test_much_both_ways(void **state)
{
	struct scene s;

	open_scene(&s, state);
	add_actor(s.world, much_client, &s);
	add_actor(s.world, much_guest, &s);
	play(s.world);
	close_scene(&s);
}

static const char *expect(int fd, const char *text)
{
	char data[64] = {};
	size_t size = strlen(text);
	ssize_t n = recv(fd, data, size, MSG_WAITALL);

	return n == (ssize_t)size && memcmp(data, text, size) == 0 ? NULL : "other text came";
}

static bool is_at_end(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) == 0;
}

/* After sending all, it goes on receiving. */
static const char *half_close_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);
	const char *wrong;

	if (fd < 0 || send(fd, "ping", 4, 0) != 4 || shutdown(fd, SHUT_WR) < 0)
		return "client sends";
	wrong = expect(fd, "pong");
	if (!wrong && !is_at_end(fd))
		wrong = "the guest's end did not come";
	(void)close(fd);
	return wrong;
}

static const char *half_close_guest(void *userdata)
{
	struct scene *s = userdata;
	int fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);
	const char *wrong = expect(fd, "ping");

	if (!wrong && !is_at_end(fd))
		wrong = "the client's end did not come";
	if (!wrong && send(fd, "pong", 4, 0) != 4)
		wrong = "guest sends";
	(void)close(fd);
	return wrong;
}

static void test_half_close(void **state)
{
	struct scene s;

	open_scene(&s, state);
	add_actor(s.world, half_close_client, &s);
	add_actor(s.world, half_close_guest, &s);
	play(s.world);
	close_scene(&s);
}

/* The guest has sent all and closed; the client reads slowly. */
static const char *slow_guest(void *userdata)
{
	struct scene *s = userdata;
	struct stream stream = {.seed = 3};

	stream.fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);
	if (stream.fd < 0 || !is_at_end(stream.fd))
		return "guest accepts";
	(void)send_much(&stream);
	(void)close(stream.fd);
	return stream.wrong;
}

static uint64_t cpu_us(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

struct slow {
	clockid_t loop_clock;
};

static const char *slow_client(void *userdata)
{
	struct slow *slow = userdata;
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);
	uint64_t before_us, used_us;
	const char *wrong;

	if (fd < 0 || shutdown(fd, SHUT_WR) < 0)
		return "connect";
	/* By then all buffers in between are full. */
	(void)usleep(200 * 1000);
	before_us = cpu_us(slow->loop_clock);
	(void)usleep(400 * 1000);
	used_us = cpu_us(slow->loop_clock) - before_us;
	wrong = receive_much(fd, 3);
	(void)close(fd);
	return used_us > 100 * 1000 ? "the loop spins while the client sleeps" : wrong;
}

static void test_slow_reader(void **state)
{
	struct scene s;
	struct slow slow;

	open_scene(&s, state);
	assert_int_equal(pthread_getcpuclockid(pthread_self(), &slow.loop_clock), 0);
	add_actor(s.world, slow_client, &slow);
	add_actor(s.world, slow_guest, &s);
	play(s.world);
	close_scene(&s);
}

static const char *await_reset(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	(void)close(fd);
	return n < 0 && errno == ECONNRESET ? NULL : "no reset came";
}

static const char *reset_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);

	return fd < 0 || send(fd, "x", 1, 0) != 1 ? "connect" : await_reset(fd);
}

static const char *reset_guest(void *userdata)
{
	struct scene *s = userdata;
	int fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || expect(fd, "x"))
		return "accept";
	reset_socket(fd);
	return NULL;
}

static void test_reset_by_guest(void **state)
{
	struct scene s;

	open_scene(&s, state);
	add_actor(s.world, reset_client, &s);
	add_actor(s.world, reset_guest, &s);
	play(s.world);
	assert_int_equal(proxy_count(s.proxy), 0);
	close_scene(&s);
}

static const char *leaving_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);

	if (fd < 0 || send(fd, "x", 1, 0) != 1 || expect(fd, "y"))
		return "connect";
	reset_socket(fd);
	return NULL;
}

static const char *left_guest(void *userdata)
{
	struct scene *s = userdata;
	int fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || expect(fd, "x") || send(fd, "y", 1, 0) != 1)
		return "accept";
	return await_reset(fd);
}

static void test_reset_by_client(void **state)
{
	struct scene s;

	open_scene(&s, state);
	add_actor(s.world, leaving_client, &s);
	add_actor(s.world, left_guest, &s);
	play(s.world);
	close_scene(&s);
}

/* Answers each byte until `MANY` connections have ended. */
static const char *echo_guest(void *userdata)
{
	struct scene *s = userdata;
	struct pollfd fds[MANY + 1] = {{.fd = s->guest, .events = POLLIN}};
	size_t count = 1, gone = 0;

	while (gone < MANY) {
		if (poll(fds, count, PATIENCE_S * 1000) <= 0)
			return "guest waits in vain";
		for (size_t i = count; i-- > 1;) {
			char data[64];
			ssize_t n = fds[i].revents ? recv(fds[i].fd, data, sizeof(data), 0) : -1;

			if (fds[i].revents && n > 0 && send(fds[i].fd, data, (size_t)n, 0) != n)
				return "guest answers";
			if (!fds[i].revents || n > 0)
				continue;
			(void)close(fds[i].fd);
			fds[i] = fds[--count];
			gone++;
		}
		if (fds[0].revents && count <= MANY)
			fds[count++] =
				(struct pollfd){.fd = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC),
						.events = POLLIN};
	}
	return NULL;
}

static const char *many_clients(void *userdata)
{
	const char *wrong = NULL;
	int fds[MANY];

	for (int i = 0; i < MANY; i++)
		fds[i] = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			if (send(fds[i], "word", 4, MSG_NOSIGNAL) != 4)
				wrong = "one of many sends";
		for (int i = 0; i < MANY; i++)
			wrong = wrong ? wrong : expect(fds[i], "word");
	}
	for (int i = 0; i < MANY; i++)
		(void)close(fds[i]);
	return wrong;
}

static void set_fds_max(rlim_t max, struct rlimit *ret_old)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_old), 0);
	limit = *ret_old;
	limit.rlim_cur = MIN(max, limit.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_many_at_once(void **state)
{
	struct rlimit old;
	struct scene s;

	open_scene(&s, state);
	/* All descriptors are in this process: client, two of the proxy, two pipes, guest. */
	set_fds_max(PROXY_CONNECTIONS_MAX * 10, &old);
	if (old.rlim_max < MANY * 10)
		skip();
	add_actor(s.world, many_clients, &s);
	add_actor(s.world, echo_guest, &s);
	play(s.world);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close_scene(&s);
}

static const char *refused_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);

	return fd < 0 ? "connect" : await_reset(fd);
}

static void test_no_target_resets(void **state)
{
	struct scene s;

	open_scene(&s, state);
	set_target(&s, NULL, NULL);
	add_actor(s.world, refused_client, &s);
	play(s.world);
	/* The machine is reachable, but nothing listens there. */
	set_target(&s, "127.0.0.9", NULL);
	add_actor(s.world, refused_client, &s);
	play(s.world);
	close_scene(&s);
}

static const char *v6_client(void *userdata)
{
	int fd = connected_socket(SOCK_STREAM, "::1", PORT);
	const char *wrong;

	if (fd < 0 || send(fd, "ping", 4, 0) != 4 || shutdown(fd, SHUT_WR) < 0)
		return "client sends";
	wrong = expect(fd, "pong");
	(void)close(fd);
	return wrong;
}

/* ::1 leads to a machine with IPv4 only. */
static void test_across_families(void **state)
{
	struct scene s;

	open_scene(&s, state);
	listen_at(&s, "::1", GUEST_PORT);
	add_actor(s.world, v6_client, &s);
	add_actor(s.world, half_close_guest, &s);
	play(s.world);
	close_scene(&s);
}

/* The machine has IPv6, but its service doesn't: connections to ::1 go where something listens. */
static void test_other_family_when_refused(void **state)
{
	struct scene s;

	open_scene(&s, state);
	listen_at(&s, "::1", GUEST_PORT);
	set_target(&s, GUEST, "::1");
	add_actor(s.world, v6_client, &s);
	add_actor(s.world, half_close_guest, &s);
	play(s.world);
	set_target(&s, "127.0.0.9", "::1");
	add_actor(s.world, refused_client, &s);
	play(s.world);
	assert_int_equal(proxy_count(s.proxy), 0);
	close_scene(&s);
}

/* The target is the host itself, with the proxy's own port. */
static void test_no_loop(void **state)
{
	struct scene s;

	open_scene(&s, state);
	proxy_drop(s.proxy, owner);
	listen_at(&s, "127.0.0.1", PORT);
	set_target(&s, "127.0.0.1", NULL);
	add_actor(s.world, refused_client, &s);
	play(s.world);
	assert_int_equal(proxy_count(s.proxy), 0);
	close_scene(&s);
}

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

/* Outside of the kernel's ephemeral range: nothing else connects from this port. */
#define PORT_OF_FIRST 20000

static int connect_to_proxy(int fd)
{
	struct sockaddr_in6 end;
	socklen_t size = socket_address("127.0.0.1", PORT, &end);

	be_patient(fd);
	if (connect(fd, (struct sockaddr *)&end, size) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int connected_from_own_port(void)
{
	struct sockaddr_in6 self;
	socklen_t size = socket_address("127.0.0.1", PORT_OF_FIRST, &self);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&self, size) < 0) {
		(void)close(fd);
		return -1;
	}
	return connect_to_proxy(fd);
}

/* From a port that another connection uses too. */
static int connected_from_same_port(uint16_t port)
{
	const uint32_t only_it = (uint32_t)port << 16 | port;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &only_it, sizeof(only_it)) < 0) {
		(void)close(fd);
		return -1;
	}
	return connect_to_proxy(fd);
}

static const char *namesake(void *userdata)
{
	struct scene *s = userdata;
	struct sockaddr_in proxy_end = {};
	socklen_t size = sizeof(proxy_end);
	int first = connected_from_own_port();
	int first_guest = accept4(s->guest, (struct sockaddr *)&proxy_end, &size, SOCK_CLOEXEC);
	int second = connected_from_same_port(ntohs(proxy_end.sin_port)), second_guest;
	const char *wrong;

	if (first < 0 || first_guest < 0 || second < 0)
		return "connect";
	be_patient(s->guest);
	second_guest = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);
	if (second_guest < 0 || send(second_guest, "hello", 5, MSG_NOSIGNAL) != 5)
		return "the second is not led to the guest";
	wrong = expect(second, "hello") ? "the second is taken for a loop" : NULL;
	(void)close(first);
	(void)close(first_guest);
	(void)close(second);
	(void)close(second_guest);
	return wrong;
}

/*
 * A client's source port can be one that the proxy itself uses to connect to the guest: the kernel
 * reuses a port if the other ends differ. It must not be mistaken for the proxy's own connection.
 */
static void test_same_port_is_no_loop(void **state)
{
	const uint32_t any = 0;
	struct scene s;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &any, sizeof(any));

	(void)close(fd);
	if (r < 0)
		skip(); /* this kernel doesn't allow to choose the port like this */
	open_scene(&s, state);
	add_actor(s.world, namesake, &s);
	play(s.world);
	close_scene(&s);
}

/* Room for three: the fourth waits until one of them ends. */
static const char *crowd(void *userdata)
{
	const char *wrong = NULL;
	struct pollfd fourth;
	int fds[4];

	for (int i = 0; i < 4; i++) {
		fds[i] = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);
		if (fds[i] < 0 || send(fds[i], "word", 4, 0) != 4)
			return "a crowd connects";
		if (i < 3 && expect(fds[i], "word"))
			wrong = "one of the first three is not served";
	}
	fourth = (struct pollfd){.fd = fds[3], .events = POLLIN};
	if (!wrong && poll(&fourth, 1, 100) != 0)
		wrong = "the fourth is served";
	reset_socket(fds[0]);
	wrong = wrong ? wrong : expect(fds[3], "word");
	for (int i = 1; i < 4; i++)
		(void)close(fds[i]);
	return wrong;
}

static const char *echo_four(void *userdata)
{
	struct scene *s = userdata;
	int fds[4];

	for (int i = 0; i < 4; i++) {
		char data[4];

		fds[i] = accept4(s->guest, NULL, NULL, SOCK_CLOEXEC);
		if (recv(fds[i], data, 4, MSG_WAITALL) != 4 || send(fds[i], data, 4, 0) != 4)
			return "guest answers";
	}
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
	return NULL;
}

/*
 * security row: N14
 * attack: floods of connections and datagrams on proxied ports
 * defence: at most 512 connections, fewer with a low limit of descriptors, more wait in the
 * backlog; at most 256 UDP sessions, of which unanswered ones are dropped first
 */
static void test_bounded_by_descriptors(void **state)
{
	struct rlimit old;
	struct scene s;

	open_scene(&s, state);
	set_fds_max(128 + 3 * 6, &old);
	add_actor(s.world, crowd, &s);
	add_actor(s.world, echo_four, &s);
	play(s.world);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close_scene(&s);
}

/* Drops the owner's connections when told of one. */
static int on_told(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct scene *s = userdata;

	event_remove_fd(loop, fd);
	assert_int_equal(proxy_count(s->proxy), 1);
	proxy_drop(s->proxy, "another owner");
	assert_int_equal(proxy_count(s->proxy), 1);
	proxy_drop(s->proxy, owner);
	assert_int_equal(proxy_count(s->proxy), 0);
	return 0;
}

struct told {
	struct scene scene;
	int fd;
};

static const char *dropped_client(void *userdata)
{
	struct told *told = userdata;
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", PORT);
	int guest;

	if (fd < 0 || send(fd, "x", 1, 0) != 1)
		return "connect";
	guest = accept4(told->scene.guest, NULL, NULL, SOCK_CLOEXEC);
	if (expect(guest, "x"))
		return "guest reads";
	(void)eventfd_write(told->fd, 1);
	return await_reset(guest) ? "the guest got no reset" : await_reset(fd);
}

static void test_drop_resets(void **state)
{
	struct told told;

	open_scene(&told.scene, state);
	told.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(
		event_add_fd(told.scene.world->loop, told.fd, EPOLLIN, on_told, &told.scene), 0);
	add_actor(told.scene.world, dropped_client, &told);
	play(told.scene.world);
	/* The port is free again. */
	listen_at(&told.scene, "127.0.0.1", GUEST_PORT);
	(void)close(told.fd);
	close_scene(&told.scene);
}

/* Each in its own network, so that no port is in TIME_WAIT when the next test starts. */
static int fresh_world(void **state)
{
	return own_network(NULL) < 0 ? -1 : world_setup(state);
}

#define proxy_test(fn) cmocka_unit_test_setup_teardown(fn, fresh_world, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		proxy_test(test_much_both_ways),
		proxy_test(test_half_close),
		proxy_test(test_slow_reader),
		proxy_test(test_reset_by_guest),
		proxy_test(test_reset_by_client),
		proxy_test(test_many_at_once),
		proxy_test(test_no_target_resets),
		proxy_test(test_across_families),
		proxy_test(test_other_family_when_refused),
		proxy_test(test_no_loop),
		proxy_test(test_same_port_is_no_loop),
		proxy_test(test_bounded_by_descriptors),
		proxy_test(test_drop_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
