/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which addresses count, in which order, and that exactly the changes are reported. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/time.h"
#include "net_world.h"
#include "serve/addresses.h"

struct scene {
	struct world *world;
	struct addresses *addresses;
	unsigned calls;
	char text[512];
};

static void on_addresses(void *userdata, const struct net_address *addresses, size_t count)
{
	struct scene *s = userdata;

	s->calls++;
	s->text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		char text[NET_ADDRESS_TEXT];

		(void)strcat(strcat(s->text, i ? " " : ""),
			     net_address_format(&addresses[i], text));
	}
}

static void ip(const char *arguments)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "ip %s", arguments);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	void *world;

	if (geteuid() == 0)
		assert_int_equal(own_network(NULL), 0);
	assert_int_equal(world_setup(&world), 0);
	s->world = world;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	void *world = s->world;

	addresses_free(s->addresses);
	free(s);
	return world_teardown(&world);
}

static void watch(struct scene *s)
{
	struct addresses_sockets sockets;

	assert_int_equal(addresses_open_here(&sockets), 0);
	assert_int_equal(addresses_new(s->world->loop, &sockets, on_addresses, s, &s->addresses),
			 0);
}

static int on_later(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

/* Waits until all changes so far have been reported. */
static void settle(struct scene *s)
{
	struct event_timer later = {.fn = on_later, .due_us = UINT64_MAX};

	event_arm_timer(s->world->loop, &later, time_monotonic_us() + 4 * ADDRESSES_SETTLE_US);
	assert_int_equal(event_run(s->world->loop), 0);
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void test_host0_comes_first(void **state)
{
	struct scene *s = *state;

	need_root();
	ip("link add docker0 type bridge");
	ip("addr add 172.17.0.1/16 dev docker0");
	ip("link add mv-eth0 type veth peer name peer0");
	ip("addr add 192.0.2.7/24 dev mv-eth0");
	ip("link add host0 type veth peer name peer1");
	ip("addr add 10.0.0.2/28 dev host0");
	ip("addr add fd00::2/64 dev host0 nodad");
	ip("addr add 169.254.3.3/16 dev host0 scope link");
	watch(s);
	assert_int_equal(s->calls, 1);
	assert_string_equal(s->text, "10.0.0.2 fd00::2 192.0.2.7");
}

static void test_only_what_lasts(void **state)
{
	struct scene *s = *state;

	need_root();
	ip("link add host0 type veth peer name peer0");
	ip("link set host0 up");
	ip("link set peer0 up");
	/* It is tentative: not yet checked for duplicates. */
	ip("addr add fd00::5/64 dev host0");
	ip("addr add fd00::6/64 dev host0 nodad preferred_lft 0");
	watch(s);
	assert_int_equal(s->calls, 0);
	ip("addr add fd00::7/64 dev host0 nodad");
	settle(s);
	assert_string_equal(s->text, "fd00::7");
}

static void test_changes_are_told_once(void **state)
{
	struct scene *s = *state;

	need_root();
	watch(s);
	assert_int_equal(s->calls, 0);
	ip("link add host0 type veth peer name peer0");
	ip("addr add 10.0.0.2/28 dev host0");
	ip("addr add 10.0.0.3/28 dev host0");
	settle(s);
	assert_string_equal(s->text, "10.0.0.2 10.0.0.3");
	s->calls = 0;
	/* As when a lease is renewed. */
	ip("addr change 10.0.0.2/28 dev host0 valid_lft 1000 preferred_lft 1000");
	ip("link add other type bridge");
	ip("addr add 10.1.0.1/24 dev other");
	settle(s);
	assert_int_equal(s->calls, 0);
	ip("link delete host0");
	settle(s);
	assert_int_equal(s->calls, 1);
	assert_string_equal(s->text, "");
}

/* The guest put host0 into a bridge of its own, which has the addresses. */
static void test_bridge_with_host0(void **state)
{
	struct scene *s = *state;

	need_root();
	ip("link add br0 type bridge");
	ip("link add host0 type veth peer name peer0");
	ip("link set host0 master br0");
	ip("addr add 10.0.0.2/28 dev br0");
	ip("link add docker0 type bridge");
	ip("link add veth1 type veth peer name peer1");
	ip("link set veth1 master docker0");
	ip("addr add 172.17.0.1/16 dev docker0");
	watch(s);
	assert_string_equal(s->text, "10.0.0.2");
}

static void test_tunnel_alone(void **state)
{
	struct scene *s = *state;

	need_root();
	ip("tuntap add tap0 mode tap");
	ip("addr add 10.0.2.100/24 dev tap0");
	watch(s);
	assert_string_equal(s->text, "10.0.2.100");
	ip("link add host0 type veth peer name peer0");
	ip("addr add 10.0.0.2/28 dev host0");
	settle(s);
	assert_string_equal(s->text, "10.0.0.2");
}

/* The caller is still in its own namespace. */
static void test_open_inside(void **state)
{
	struct scene *s = *state;
	struct addresses_sockets sockets;
	int ready[2], pidfd;
	char byte;
	pid_t child;

	need_root();
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int r = unshare(CLONE_NEWNET);

		r |= system("ip link add host0 type veth peer name peer0");
		r |= system("ip addr add 10.0.0.2/28 dev host0");
		_exit(write(ready[1], "", 1) == 1 ? pause() : r);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	pidfd = sys_pidfd_open(child, 0);
	assert_int_equal(addresses_open(pidfd, &sockets), 0);
	assert_int_equal(if_nametoindex("host0"), 0);
	assert_int_equal(addresses_new(s->world->loop, &sockets, on_addresses, s, &s->addresses),
			 0);
	assert_string_equal(s->text, "10.0.0.2");
	(void)close(pidfd);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

/* The guest's root can send to sockets of its network namespace, but not to redd's connected one.
 */
static void assert_refuses(int fd)
{
	const struct nlmsghdr forged = {.nlmsg_len = NLMSG_HDRLEN + 1, .nlmsg_type = RTM_NEWLINK};
	char message[NLMSG_HDRLEN + 1] = {};
	struct sockaddr_nl to = {};
	socklen_t size = sizeof(to);
	int guest = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	memcpy(message, &forged, sizeof(forged));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &size), 0);
	assert_int_equal(
		sendto(guest, message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	(void)close(guest);
}

/*
 * security row: N13
 * attack: forged netlink messages in the guest's namespace, in the kernel's name
 * defence: redd's sockets there are connected to the kernel, so other senders are refused
 */
static void test_only_the_kernel_is_heard(void **state)
{
	struct scene *s = *state;
	struct addresses_sockets sockets;

	need_root();
	assert_int_equal(addresses_open_here(&sockets), 0);
	assert_refuses(sockets.changes);
	assert_refuses(sockets.questions);
	assert_int_equal(addresses_new(s->world->loop, &sockets, on_addresses, s, &s->addresses),
			 0);
}

#define addresses_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		addresses_test(test_host0_comes_first),
		addresses_test(test_only_what_lasts),
		addresses_test(test_changes_are_told_once),
		addresses_test(test_bridge_with_host0),
		addresses_test(test_tunnel_alone),
		addresses_test(test_open_inside),
		addresses_test(test_only_the_kernel_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
