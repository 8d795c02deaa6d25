/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ports as text: what people write, and the one form that is shown. Pure. Either side. */
#include "net/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"

static const struct {
	const char *prefix;
	int protocol;
} protocols[] = {
	{"tcp:", IPPROTO_TCP},
	{"udp:", IPPROTO_UDP},
	{"sctp:", IPPROTO_SCTP},
};

static int take_protocol(const char **text, int *ret)
{
	*ret = IPPROTO_TCP;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		const char *rest = str_after_prefix(*text, protocols[i].prefix);

		if (!rest)
			continue;
		*ret = protocols[i].protocol;
		*text = rest;
		return 0;
	}
	/* "htp:80" is a protocol that we don't know, not an address. */
	return **text >= 'a' && **text <= 'z' ? -EPROTONOSUPPORT : 0;
}

/* "192.0.2.1:" or "[2001:db8::1]:" in front of the ports. */
static int take_bind(const char **text, struct net_address *ret)
{
	bool in_brackets = **text == '[';
	const char *start = *text + in_brackets;
	size_t length = strcspn(start, in_brackets ? "]" : ":");
	autofree char *address = strndup(start, length);
	const char *rest = start + length + in_brackets;

	if (!address)
		return -ENOMEM;
	if (!in_brackets && !strchr(address, '.'))
		return 0;
	if (start[length] == '\0' || *rest != ':' || net_address_parse(address, ret) < 0 ||
	    (ret->family == AF_INET6) != in_brackets)
		return -EINVAL;
	*text = rest + 1;
	return 0;
}

static int parse_port_number(const char *text, uint16_t *ret)
{
	uint32_t number;

	if (parse_u32(text, &number) < 0 || number == 0 || number > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)number;
	return 0;
}

/* PORT or FIRST-LAST */
static int parse_range(char *text, uint16_t *first, uint16_t *last)
{
	char *dash = strchr(text, '-');
	int r;

	if (dash)
		*dash = '\0';
	r = parse_port_number(text, first);
	if (r == 0 && dash)
		r = parse_port_number(dash + 1, last);
	else
		*last = *first;
	return r < 0 || *last < *first ? -EINVAL : 0;
}

static int parse_ranges(const char *text, struct net_port *port)
{
	autofree char *host = strdup(text);
	uint16_t guest_last;
	char *guest;

	if (!host)
		return -ENOMEM;
	guest = strchr(host, ':');
	if (guest)
		*guest++ = '\0';
	if (parse_range(host, &port->first, &port->last) < 0)
		return -EINVAL;
	port->guest_first = port->first;
	if (!guest)
		return 0;
	if (parse_range(guest, &port->guest_first, &guest_last) < 0)
		return -EINVAL;
	/* A single number is the first of as many ports as the host's range has. */
	if (guest_last != port->guest_first &&
	    guest_last - port->guest_first != port->last - port->first)
		return -EINVAL;
	return port->guest_first + (port->last - port->first) > UINT16_MAX ? -EINVAL : 0;
}

int net_port_parse(const char *text, struct net_port *ret)
{
	struct net_port port = {};
	int r = take_protocol(&text, &port.protocol);

	if (r == 0)
		r = take_bind(&text, &port.bind);
	if (r == 0)
		r = parse_ranges(text, &port);
	if (r < 0)
		return r;
	*ret = port;
	return 0;
}

bool net_port_equal(const struct net_port *a, const struct net_port *b)
{
	return a->protocol == b->protocol && a->first == b->first && a->last == b->last &&
	       a->guest_first == b->guest_first && net_address_equal(&a->bind, &b->bind);
}

bool net_port_overlaps(const struct net_port *a, const struct net_port *b)
{
	return a->protocol == b->protocol && a->first <= b->last && b->first <= a->last &&
	       (!net_address_is_set(&a->bind) || !net_address_is_set(&b->bind) ||
		net_address_equal(&a->bind, &b->bind));
}

static const char *protocol_prefix(int protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].protocol == protocol)
			return protocols[i].prefix;
	return "";
}

/* Appends; the buffer has room for all that can come. */
static void add_range(char ret[NET_PORT_TEXT], unsigned first, unsigned last)
{
	size_t length = strlen(ret);

	(void)snprintf(ret + length, NET_PORT_TEXT - length, "%u", first);
	if (first == last)
		return;
	length = strlen(ret);
	(void)snprintf(ret + length, NET_PORT_TEXT - length, "-%u", last);
}

const char *net_port_format(const struct net_port *port, char ret[NET_PORT_TEXT])
{
	char address[NET_ADDRESS_TEXT];
	unsigned guest_last = (unsigned)port->guest_first + port->last - port->first;
	bool in_brackets = port->bind.family == AF_INET6;

	(void)snprintf(ret, NET_PORT_TEXT, "%s%s%s%s", protocol_prefix(port->protocol),
		       in_brackets ? "[" : "", net_address_format(&port->bind, address),
		       in_brackets			 ? "]:"
		       : net_address_is_set(&port->bind) ? ":"
							 : "");
	add_range(ret, port->first, port->last);
	strcat(ret, ":");
	add_range(ret, port->guest_first, guest_last);
	return ret;
}
