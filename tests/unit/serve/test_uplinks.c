/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The watch for interfaces that get an address, in a private network. */
#include <linux/if_link.h>
#include <linux/veth.h>

#include "host/network/network.h"
#include "kernel/rtnl.h"
#include "lib/time.h"
#include "net_world.h"
#include "serve/uplinks.h"

/* The time without a report after events that don't matter. */
#define SILENCE_US (400 * USEC_PER_MSEC)

struct scene {
	struct world *world;
	struct uplinks *uplinks;
	struct event_timer timer;
	int rtnl;
	unsigned calls;
};

static void on_uplink(void *userdata)
{
	struct scene *s = userdata;

	s->calls++;
	event_exit(s->world->loop, 0);
}

static int on_timeout(struct event_loop *loop, void *userdata)
{
	event_exit(loop, 0);
	return 0;
}

static void run_for(struct scene *s, uint64_t us)
{
	event_arm_timer(s->world->loop, &s->timer, time_monotonic_us() + us);
	assert_int_equal(event_run(s->world->loop), 0);
	event_disarm_timer(s->world->loop, &s->timer);
}

static void expect_call(struct scene *s)
{
	unsigned before = s->calls;

	run_for(s, PATIENCE_S * USEC_PER_SEC);
	assert_int_equal(s->calls, before + 1);
}

static void expect_silence(struct scene *s)
{
	unsigned before = s->calls;

	run_for(s, SILENCE_US);
	assert_int_equal(s->calls, before);
}

static int make_pair(struct scene *s, const char *name)
{
	struct network_link link = {};
	struct ifinfomsg info = {};
	struct rtnl_message message;
	uint32_t nest;

	rtnl_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	rtnl_put_str(&message, IFLA_IFNAME, name);
	nest = rtnl_begin_nest(&message, IFLA_LINKINFO);
	rtnl_put_str(&message, IFLA_INFO_KIND, "veth");
	rtnl_end_nest(&message, nest);
	assert_int_equal(rtnl_call(s->rtnl, &message), 0);
	assert_int_equal(network_find_link(s->rtnl, name, &link), 0);
	assert_int_equal(network_set_up(s->rtnl, link.index), 0);
	return link.index;
}

static void add_address(struct scene *s, int link, const char *text)
{
	struct net_address address = address_of(text);

	assert_int_equal(
		network_add_address(s->rtnl, link, &address, address.family == AF_INET ? 24 : 64),
		0);
}

static void open_scene(struct scene *s, void **state)
{
	if (geteuid() != 0)
		skip();
	*s = (struct scene){.world = *state, .timer = {.due_us = USEC_INFINITY, .fn = on_timeout}};
	s->rtnl = rtnl_open();
	assert_true(s->rtnl >= 0);
	assert_int_equal(uplinks_new(s->world->loop, network_is_of_host, on_uplink, s, &s->uplinks),
			 0);
}

static void close_scene(struct scene *s)
{
	uplinks_free(s->uplinks);
	(void)close(s->rtnl);
}

static void first_addresses_are_told(void **state)
{
	struct scene s;
	int link;

	open_scene(&s, state);
	link = make_pair(&s, "up0");
	expect_silence(&s);
	add_address(&s, link, "192.0.2.1");
	expect_call(&s);
	add_address(&s, link, "2001:db8::1");
	expect_call(&s);
	link = make_pair(&s, "up1");
	add_address(&s, link, "198.51.100.1");
	expect_call(&s);
	close_scene(&s);
}

static void later_ones_are_not(void **state)
{
	struct scene s;
	int link;

	open_scene(&s, state);
	link = make_pair(&s, "up0");
	add_address(&s, link, "192.0.2.1");
	expect_call(&s);
	add_address(&s, link, "192.0.2.1");
	add_address(&s, link, "192.0.2.2");
	expect_silence(&s);
	close_scene(&s);
}

static void many_at_once_are_told_once(void **state)
{
	struct scene s;

	open_scene(&s, state);
	for (int i = 0; i < 20; i++) {
		char name[IF_NAMESIZE], address[32];

		(void)snprintf(name, sizeof(name), "up%d", i);
		(void)snprintf(address, sizeof(address), "10.0.%d.1", i);
		add_address(&s, make_pair(&s, name), address);
	}
	expect_call(&s);
	expect_silence(&s);
	close_scene(&s);
}

/* More interfaces than it remembers: none is missed, some are reported twice. */
static void more_than_can_be_remembered(void **state)
{
	struct scene s;
	int link = 0;

	open_scene(&s, state);
	for (int i = 0; i < 140; i++) {
		char name[IF_NAMESIZE], address[32];

		(void)snprintf(name, sizeof(name), "up%d", i);
		(void)snprintf(address, sizeof(address), "10.0.%d.1", i);
		link = make_pair(&s, name);
		add_address(&s, link, address);
	}
	expect_call(&s);
	add_address(&s, link, "2001:db8::1");
	expect_call(&s);
	close_scene(&s);
}

static void links_of_machines_and_loopback_are_none(void **state)
{
	struct scene s;
	int link;

	open_scene(&s, state);
	link = make_pair(&s, "ve-m");
	assert_int_equal(network_set_alias(s.rtnl, link, NETWORK_ALIAS_MACHINE, "m"), 0);
	add_address(&s, link, "10.9.9.1");
	add_address(&s, (int)if_nametoindex("lo"), "192.0.2.77");
	expect_silence(&s);
	close_scene(&s);
}

/* Each test has its own network. */
static int fresh_world(void **state)
{
	return own_network(NULL) < 0 ? -1 : world_setup(state);
}

#define uplinks_test(fn) cmocka_unit_test_setup_teardown(fn, fresh_world, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		uplinks_test(first_addresses_are_told),
		uplinks_test(later_ones_are_not),
		uplinks_test(many_at_once_are_told_once),
		uplinks_test(more_than_can_be_remembered),
		uplinks_test(links_of_machines_and_loopback_are_none),
	};

	return cmocka_run_group_tests_name("uplinks", tests, NULL, NULL);
}
