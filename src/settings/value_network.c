/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms of what describes a network: interfaces, ports, addresses. Must never look at the
 * host's network. Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "net/link_name.h"
#include "net/port.h"
#include "settings/value.h"

/* Names of 16 bytes and more find an interface too: as its alternative name. */
#define ALTERNATIVE_NAME_MAX 127

static bool host_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length < IFNAMSIZ)
		return net_link_name_is_valid(name);
	return length <= ALTERNATIVE_NAME_MAX && !strpbrk(name, "/: \t\n");
}

void value_link_done(struct value_link *link)
{
	free(link->host);
	free(link->guest);
	*link = (struct value_link){};
}

int value_parse_link(const char *text, struct value_link *ret)
{
	autocall(value_link_done) struct value_link link = {};
	const char *colon = strchr(text, ':');

	link.host = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	if (colon)
		link.guest = strdup(colon + 1);
	if (!link.host || (colon && !link.guest))
		return -ENOMEM;
	if (!host_name_is_valid(link.host) || (link.guest && !net_link_name_is_valid(link.guest)))
		return -EINVAL;
	*ret = link;
	link = (struct value_link){};
	return 0;
}

bool value_zone_is_valid(const char *text)
{
	autofree char *name = str_printf("vz-%s", text);

	return name && *text && net_link_name_is_valid(name);
}

int value_parse_resolv_conf(const char *text, enum value_resolv_conf *ret)
{
	static const char *const words[] = {
		[VALUE_RESOLV_CONF_OFF] = "off",
		[VALUE_RESOLV_CONF_COPY_HOST] = "copy-host",
		[VALUE_RESOLV_CONF_COPY_STATIC] = "copy-static",
		[VALUE_RESOLV_CONF_COPY_UPLINK] = "copy-uplink",
		[VALUE_RESOLV_CONF_COPY_STUB] = "copy-stub",
		[VALUE_RESOLV_CONF_REPLACE_HOST] = "replace-host",
		[VALUE_RESOLV_CONF_REPLACE_STATIC] = "replace-static",
		[VALUE_RESOLV_CONF_REPLACE_UPLINK] = "replace-uplink",
		[VALUE_RESOLV_CONF_REPLACE_STUB] = "replace-stub",
		[VALUE_RESOLV_CONF_BIND_HOST] = "bind-host",
		[VALUE_RESOLV_CONF_BIND_STATIC] = "bind-static",
		[VALUE_RESOLV_CONF_BIND_UPLINK] = "bind-uplink",
		[VALUE_RESOLV_CONF_BIND_STUB] = "bind-stub",
		[VALUE_RESOLV_CONF_DELETE] = "delete",
		[VALUE_RESOLV_CONF_AUTO] = "auto",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(text, words[i])) {
			*ret = (enum value_resolv_conf)i;
			return 0;
		}
	return -EINVAL;
}

int value_check_resolv_conf(const char *text)
{
	enum value_resolv_conf mode;

	return value_parse_resolv_conf(text, &mode);
}

int value_check_link(const char *text)
{
	autocall(value_link_done) struct value_link link = {};

	return value_parse_link(text, &link);
}

int value_check_link_name(const char *text)
{
	return host_name_is_valid(text) ? 0 : -EINVAL;
}

int value_check_zone(const char *text)
{
	return value_zone_is_valid(text) ? 0 : -EINVAL;
}

int value_check_port(const char *text)
{
	struct net_port port;

	return net_port_parse(text, &port) < 0 ? -EINVAL : 0;
}

int value_check_prefix(const char *text)
{
	struct net_prefix prefix;

	return net_prefix_parse(text, &prefix);
}

int value_check_address(const char *text)
{
	struct net_address address;

	return net_address_parse(text, &address);
}
