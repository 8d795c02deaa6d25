/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Binding ports, finding who has one, ranges, and failures of the packet filter. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "captured_log.h"
#include "machine/private_run.h"
#include "machine/registry.h"
#include "net_world.h"
#include "serve/port_owner.h"
#include "serve/ports.h"

struct scene {
	struct world *world;
	struct ports *ports;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	void *world;

	assert_int_equal(world_setup(&world), 0);
	s->world = world;
	assert_int_equal(ports_new(s->world->loop, "web", &s->ports), 0);
	*state = s;
	return capture_setup(NULL);
}

static int teardown(void **state)
{
	struct scene *s = *state;
	void *world = s->world;

	ports_free(s->ports);
	free(s);
	(void)capture_teardown(NULL);
	return world_teardown(&world);
}

static struct net_port port(int protocol, uint16_t first, uint16_t last, const char *address)
{
	return (struct net_port){.protocol = protocol,
				 .first = first,
				 .last = last,
				 .guest_first = first,
				 .bind = address_of(address)};
}

static int add(struct scene *s, struct net_port p)
{
	if (geteuid() != 0)
		skip();
	return ports_add(s->ports, &p, "--port=");
}

static int removed(struct scene *s, struct net_port p)
{
	return ports_remove(s->ports, &p);
}

/* A process with a given name that holds the port until told to end. */
struct holder {
	pid_t pid;
	int end_fd;
};

static struct holder hold(int type, const char *address, uint16_t number)
{
	struct holder holder;
	int ready[2], end[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	holder.pid = fork();
	if (holder.pid == 0) {
		(void)prctl(PR_SET_NAME, "portholder");
		(void)close(end[1]);
		_exit(bound_socket(type, address, number) < 0 || write(ready[1], "", 1) != 1 ||
		      read(end[0], &byte, 1) < 0);
	}
	(void)close(ready[1]);
	(void)close(end[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	holder.end_fd = end[1];
	return holder;
}

static void let_go(struct holder *holder)
{
	(void)close(holder->end_fd);
	assert_int_equal(waitpid(holder->pid, NULL, 0), holder->pid);
}

static void test_bind_and_free(void **state)
{
	struct scene *s = *state;
	struct net_port tcp = port(IPPROTO_TCP, 8080, 8080, NULL);
	size_t count;

	assert_int_equal(add(s, tcp), 0);
	assert_int_equal(add(s, port(IPPROTO_UDP, 8080, 8080, NULL)), 0);
	assert_int_equal(ports_get(s->ports, &count)[0].first, 8080);
	assert_int_equal(count, 2);
	/* All addresses of both families are bound. */
	assert_int_equal(bound_socket(SOCK_STREAM, "127.0.0.1", 8080), -EADDRINUSE);
	assert_int_equal(bound_socket(SOCK_STREAM, "::1", 8080), -EADDRINUSE);
	assert_int_equal(bound_socket(SOCK_DGRAM, "127.0.0.1", 8080), -EADDRINUSE);
	assert_int_equal(removed(s, port(IPPROTO_TCP, 8081, 8081, NULL)), -ENOENT);
	assert_int_equal(removed(s, tcp), 0);
	assert_int_equal(removed(s, tcp), -ENOENT);
	(void)close(bound_socket(SOCK_STREAM, "127.0.0.1", 8080));
	(void)ports_get(s->ports, &count);
	assert_int_equal(count, 1);
}

static void test_taken_says_by_whom(void **state)
{
	struct scene *s = *state;
	struct holder holder = hold(SOCK_STREAM, "127.0.0.1", 8080);
	char text[256];

	assert_int_equal(add(s, port(IPPROTO_TCP, 8080, 8080, NULL)), -EADDRINUSE);
	(void)snprintf(text, sizeof(text),
		       "error: --port=: 8080/tcp is taken by portholder (process %d)\n"
		       "error:       hint: stop who has it, or forward another port of the host: "
		       "tcp:FREE-PORT:8080\n",
		       (int)holder.pid);
	assert_string_equal(captured_text(), text);
	/* The same port on another address is free. */
	assert_int_equal(add(s, port(IPPROTO_TCP, 8080, 8080, "127.0.0.2")), 0);
	let_go(&holder);
	assert_int_equal(add(s, port(IPPROTO_TCP, 8080, 8080, "127.0.0.1")), 0);
	assert_int_equal(add(s, port(IPPROTO_TCP, 8080, 8080, "127.0.0.1")), -EADDRINUSE);
	assert_non_null(strstr(captured_text(), "127.0.0.1:8080/tcp is taken by this machine"));
}

/* A port of another machine's supervisor counts as that machine's. */
static void test_taken_by_machine(void **state)
{
	struct scene *s = *state;
	struct holder holder = hold(SOCK_DGRAM, "::", 53);
	struct machine_state machine = {.name = (char *)"other", .supervisor = holder.pid};
	int lock, dir;

	if (private_run_enter() < 0)
		skip();
	dir = machine_claim("other", &lock);
	assert_true(dir >= 0);
	assert_int_equal(machine_state_write(dir, &machine), 0);
	assert_int_equal(add(s, port(IPPROTO_UDP, 53, 53, NULL)), -EADDRINUSE);
	assert_non_null(strstr(captured_text(), "53/udp is taken by machine other\n"));
	(void)machine_release("other", dir);
	(void)close(dir);
	(void)close(lock);
	let_go(&holder);
}

/* security row: N15 */
/* With SO_REUSEADDR, the second UDP socket would get all packets, and neither bind would fail. */
static void test_two_machines_share_no_port(void **state)
{
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct scene *s = *state;
	struct ports *other;

	assert_int_equal(ports_new(s->world->loop, "other", &other), 0);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		autocall(ports_failure_done) struct ports_failure all = {}, one = {};
		struct net_port everywhere = port(protocols[i], 8080, 8080, NULL);
		struct net_port here = port(protocols[i], 8080, 8080, "127.0.0.1");

		assert_int_equal(add(s, everywhere), 0);
		assert_int_equal(ports_try_add(other, &everywhere, &all), -EADDRINUSE);
		assert_int_equal(ports_try_add(other, &here, &one), -EADDRINUSE);
	}
	ports_free(other);
}

/* A running supervisor doesn't search for the holder of a port: it would have to read all of /proc.
 */
static void test_no_search_in_the_loop(void **state)
{
	struct scene *s = *state;
	struct holder holder = hold(SOCK_STREAM, "127.0.0.1", 8082);
	autocall(ports_failure_done) struct ports_failure failure = {};
	struct net_port range = port(IPPROTO_TCP, 8081, 8083, NULL);

	range.guest_first = 81;
	assert_int_equal(ports_try_add(s->ports, &range, &failure), -EADDRINUSE);
	assert_string_equal(failure.text, "8082/tcp is taken");
	assert_null(failure.owner);
	assert_int_equal(failure.port.first, 8082);
	assert_int_equal(failure.port.last, 8082);
	assert_int_equal(failure.port.guest_first, 82);
	let_go(&holder);
}

static void test_range_is_all_or_nothing(void **state)
{
	struct scene *s = *state;
	struct holder holder = hold(SOCK_STREAM, "0.0.0.0", 8002);
	size_t count;

	assert_int_equal(add(s, port(IPPROTO_TCP, 8000, 8004, NULL)), -EADDRINUSE);
	assert_non_null(strstr(captured_text(), "8002/tcp is taken by portholder"));
	(void)close(bound_socket(SOCK_STREAM, "0.0.0.0", 8000));
	let_go(&holder);
	assert_int_equal(add(s, port(IPPROTO_TCP, 8000, 8004, NULL)), 0);
	assert_int_equal(bound_socket(SOCK_STREAM, "0.0.0.0", 8004), -EADDRINUSE);
	(void)ports_get(s->ports, &count);
	assert_int_equal(count, 1);
}

/* A range too large to be bound: checked in the tables, and served by the filter only. */
static void test_large_range(void **state)
{
	struct scene *s = *state;
	struct holder holder = hold(SOCK_STREAM, "127.0.0.1", 20100);
	struct net_port large = port(IPPROTO_TCP, 20000, 20000 + PORTS_RANGE_MAX, NULL);

	assert_int_equal(add(s, large), -EADDRINUSE);
	assert_non_null(strstr(captured_text(), "20100/tcp is taken by portholder"));
	let_go(&holder);
	assert_int_equal(add(s, large), 0);
	(void)close(bound_socket(SOCK_STREAM, "0.0.0.0", 20000));
	assert_int_equal(add(s, port(IPPROTO_TCP, 20200, 20200, NULL)), -EADDRINUSE);
	large.last--;
	assert_int_equal(removed(s, large), -ENOENT);
	large.last++;
	assert_int_equal(removed(s, large), 0);
}

/* Enough descriptors for a range in both families, with a low limit. */
static void test_many_descriptors(void **state)
{
	struct scene *s = *state;
	struct rlimit old, limit;
	int low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 64, .rlim_max = old.rlim_max};
	ports_free(s->ports);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(ports_new(s->world->loop, "web", &s->ports), 0);
	assert_int_equal(add(s, port(IPPROTO_TCP, 9000, 9000 + PORTS_RANGE_MAX - 1, NULL)), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	/* PID 1 inherits the limit, and there is still room below it. */
	assert_int_equal(limit.rlim_cur, 64);
	low = bound_socket(SOCK_STREAM, "127.0.0.1", 80);
	assert_in_range(low, 0, 63);
	(void)close(low);
	ports_free(s->ports);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(ports_new(s->world->loop, "web", &s->ports), 0);
}

static void test_address_of_others(void **state)
{
	struct scene *s = *state;

	assert_int_equal(add(s, port(IPPROTO_TCP, 80, 80, "192.0.2.1")), -EADDRNOTAVAIL);
	assert_string_equal(captured_text(), "error: --port=: 192.0.2.1:80/tcp can't be had: this "
					     "host has no address 192.0.2.1\n");
}

/* Without a packet filter: one warning, and an error for ports that can't be proxied. */
static void test_without_filter(void **state)
{
	struct scene *s = *state;
	autocall(ports_failure_done) struct ports_failure failure = {};
	struct net_port sctp = port(IPPROTO_SCTP, 36413, 36413, NULL);
	size_t count;

	ports_warn_unfiltered(s->ports, -EOPNOTSUPP);
	assert_string_equal(captured_text(), "");
	assert_int_equal(add(s, port(IPPROTO_TCP, 8080, 8080, NULL)), 0);
	assert_int_equal(add(s, port(IPPROTO_SCTP, 36412, 36412, NULL)), 0);
	ports_warn_unfiltered(s->ports, -EOPNOTSUPP);
	assert_string_equal(
		captured_text(),
		"warning: machine web: the kernel's packet filter does not forward its ports, the "
		"supervisor passes them on instead: Operation not supported\n"
		"warning: machine web: 36412/sctp is not forwarded: SCTP and ranges of more than "
		"256 ports need the packet filter\n");
	assert_int_equal(add(s, port(IPPROTO_TCP, 8081, 8081, NULL)), 0);
	ports_warn_unfiltered(s->ports, -EOPNOTSUPP);
	assert_string_equal(captured_text(), "");
	assert_int_equal(add(s, sctp), 0);
	assert_true(ports_needs_filter(&sctp));
	assert_int_equal(ports_refuse_last(s->ports, -EOPNOTSUPP, &failure), -EOPNOTSUPP);
	assert_string_equal(failure.text, "36413/sctp can't be had: Operation not supported");
	(void)ports_get(s->ports, &count);
	assert_int_equal(count, 3);
}

/* Port 8080 of the host leads to port 80 inside; a range counts up. */
static const char *client(void *userdata)
{
	int guest = bound_socket(SOCK_STREAM, "127.0.0.2", 82);
	int fd = connected_socket(SOCK_STREAM, "127.0.0.1", 8082);
	int accepted = guest < 0 || fd < 0 ? -1 : accept4(guest, NULL, NULL, SOCK_CLOEXEC);
	char byte = 0;
	bool ok = accepted >= 0 && send(fd, "x", 1, 0) == 1 && recv(accepted, &byte, 1, 0) == 1;

	(void)close(guest);
	(void)close(fd);
	(void)close(accepted);
	return ok && byte == 'x' ? NULL : "port 82 inside is not reached by 8082";
}

static void test_numbers_inside(void **state)
{
	struct scene *s = *state;
	struct net_address target = address_of("127.0.0.2");
	struct net_port range = port(IPPROTO_TCP, 8080, 8084, NULL);

	range.guest_first = 80;
	assert_int_equal(add(s, range), 0);
	ports_set_target(s->ports, &target, NULL);
	add_actor(s->world, client, NULL);
	play(s->world);
}

static void test_owner_of_the_kernel(void **state)
{
	struct port_query query = {.protocol = IPPROTO_SCTP, .first = 1, .last = 1};
	char *owner = NULL;

	assert_int_equal(port_owner_find(&query, &owner), -EPROTONOSUPPORT);
	query.protocol = IPPROTO_TCP;
	assert_int_equal(port_owner_find(&query, &owner), 0);
	assert_string_equal(owner, "the kernel, or a process that can't be seen from here");
	free(owner);
}

#define ports_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ports_test(test_bind_and_free),
		ports_test(test_taken_says_by_whom),
		ports_test(test_two_machines_share_no_port),
		ports_test(test_no_search_in_the_loop),
		ports_test(test_taken_by_machine),
		ports_test(test_range_is_all_or_nothing),
		ports_test(test_large_range),
		ports_test(test_many_descriptors),
		ports_test(test_address_of_others),
		ports_test(test_without_filter),
		ports_test(test_numbers_inside),
		ports_test(test_owner_of_the_kernel),
	};

	return cmocka_run_group_tests(tests, own_network, NULL);
}
