/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets a machine's rules in the packet filter as its supervisor would, for the system tests. Reads
 * commands, one a line, and answers each by "ok" or an error's name; ends at end of file.
 *
 *   KEY=VALUE        of the rules: machine, link, zone, subnet4, guest4, mac, port … (see rows[])
 *   set              firewall_set() with the rules so far; the socket stays open
 *   close            firewall_close()
 *   clean [ALIVE]    firewall_clean(): that machine lives, others don't
 *   open-others LINK looks at others' chains, and sets the rules with the accepts that are needed
 *   close-others, clean-others [ALIVE]
 *   blocker LINK     what drops besides chains that open-others mends, and the command; or nothing
 *   accepts LINK     the chains that open-others would add to, as a number
 */
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "firewall/firewall.h"
#include "lib/str.h"

#define PORTS_MAX 64

struct state {
	struct firewall_config rules;
	struct net_port ports[PORTS_MAX];
	int firewall;
};

static char *alive;

static int set_text(void *target, const char *value)
{
	return str_replace(target, *value ? value : NULL);
}

static int set_bool(void *target, const char *value)
{
	*(bool *)target = streq(value, "yes");
	return 0;
}

static int set_address(void *target, const char *value)
{
	*(struct net_address *)target = (struct net_address){};
	return *value ? net_address_parse(value, target) : 0;
}

static int set_prefix(void *target, const char *value)
{
	*(struct net_prefix *)target = (struct net_prefix){};
	return *value ? net_prefix_parse(value, target) : 0;
}

static int set_mac(void *target, const char *value)
{
	const struct ether_addr *mac = ether_aton(value);

	if (!mac)
		return -EINVAL;
	memcpy(target, mac, ETH_ALEN);
	return 0;
}

static const struct {
	const char *key;
	int (*set)(void *target, const char *value);
	size_t offset;
} rows[] = {
#define ROW(key, kind)                                                                             \
	{                                                                                          \
#key, set_##kind, offsetof(struct firewall_config, key)                            \
	}
	ROW(machine, text),    ROW(link, text),	      ROW(masquerade, bool),
	ROW(subnet4, prefix),  ROW(subnet6, prefix),  ROW(check_source, bool),
	ROW(serves, bool),     ROW(guest_mac, mac),   ROW(guest4, address),
	ROW(guest6, address),  ROW(host4, address),   ROW(host6, address),
	ROW(target4, address), ROW(target6, address), ROW(translates_loopback, bool),
	ROW(vlans, bool),
#undef ROW
};

/* PROTOCOL FIRST LAST GUEST [BIND] */
static int add_port(struct state *s, const char *value)
{
	struct net_port port = {};
	char bind[NET_ADDRESS_TEXT] = "";
	unsigned first, last, guest;

	if (sscanf(value, "%d %u %u %u %47s", &port.protocol, &first, &last, &guest, bind) < 4 ||
	    s->rules.port_count == PORTS_MAX)
		return -EINVAL;
	port.first = (uint16_t)first;
	port.last = (uint16_t)last;
	port.guest_first = (uint16_t)guest;
	s->ports[s->rules.port_count++] = port;
	s->rules.ports = s->ports;
	return *bind ? net_address_parse(bind, &s->ports[s->rules.port_count - 1].bind) : 0;
}

static int assign(struct state *s, char *line)
{
	char *value = strchr(line, '=');

	*value++ = '\0';
	if (streq(line, "port"))
		return add_port(s, value);
	if (streq(line, "ports"))
		return (int)(s->rules.port_count = 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(line, rows[i].key))
			return rows[i].set((char *)&s->rules + rows[i].offset, value);
	return -ENOENT;
}

static bool is_alive(const char *machine)
{
	return alive && streq(machine, alive);
}

static int set(struct state *s, const char *argument)
{
	struct timespec from, to;
	int r;

	if (s->firewall < 0)
		s->firewall = firewall_open();
	if (s->firewall < 0)
		return s->firewall;
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	r = firewall_set(s->firewall, &s->rules);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	(void)fprintf(stderr, "set: %ld us\n",
		      (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
	return r;
}

static int close_own(struct state *s, const char *argument)
{
	int r = firewall_close(s->firewall, s->rules.machine);

	s->firewall = -1;
	return r;
}

static int clean(struct state *s, const char *argument)
{
	(void)str_replace(&alive, argument);
	return firewall_clean(is_alive);
}

static int open_others(struct state *s, const char *argument)
{
	struct firewall_others others = {};
	int r = firewall_look_at_others(s->rules.machine, argument, true, &others);

	s->rules.route_link = argument;
	s->rules.accept_in = others.accept_in;
	if (r >= 0)
		r = set(s, NULL);
	s->rules.accept_in = 0;
	firewall_others_done(&others);
	return r;
}

static int close_others(struct state *s, const char *argument)
{
	firewall_close_others(s->rules.machine);
	return 0;
}

static int clean_others(struct state *s, const char *argument)
{
	(void)str_replace(&alive, argument);
	firewall_clean_others(is_alive);
	return 0;
}

static int blocker(struct state *s, const char *argument)
{
	struct firewall_others found = {};
	int r = firewall_look_at_others(NULL, argument, true, &found);

	if (found.what)
		(void)printf("%s | %s | ", found.what, found.mend ? found.mend : "-");
	firewall_others_done(&found);
	return r;
}

static int accepts(struct state *s, const char *argument)
{
	struct firewall_others found = {};
	int r = firewall_look_at_others(NULL, argument, true, &found);

	(void)printf("%u | ", found.accept_in);
	firewall_others_done(&found);
	return r;
}

static const struct {
	const char *name;
	int (*run)(struct state *s, const char *argument);
} commands[] = {
	{"set", set},
	{"close", close_own},
	{"clean", clean},
	{"open-others", open_others},
	{"close-others", close_others},
	{"clean-others", clean_others},
	{"blocker", blocker},
	{"accepts", accepts},
};

static int run(struct state *s, char *line)
{
	char *argument = line + strcspn(line, " ");

	if (*argument)
		*argument++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(line, commands[i].name))
			return commands[i].run(s, argument);
	return -ENOENT;
}

int main(void)
{
	struct state s = {.firewall = -1};
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		int r;

		line[strcspn(line, "\n")] = '\0';
		r = strchr(line, '=') ? assign(&s, line) : run(&s, line);
		(void)printf("%s\n", r < 0 ? strerrorname_np(-r) : "ok");
		(void)fflush(stdout);
	}
	return 0;
}
