/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which networks a machine has. What excludes what is decided as in systemd-nspawn. Must never look
 * at the host's network: the host modules find out what exists. Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "net/link_name.h"
#include "settings/value.h"
#include "spec/resolve.h"

static int copy_text(char **dst, const char *text)
{
	return str_replace(dst, text) < 0 ? log_oom() : 0;
}

/* Appends a zeroed item of `size` bytes to *array; NULL (said) when there are too many. */
static void *grow(const struct setting_value *value, void *array, size_t *count, size_t size,
		  size_t limit)
{
	void **items = array;
	char *grown;

	if (*count >= limit) {
		(void)log_error(-E2BIG, "%s: more than %zu of them", value->origin, limit);
		return NULL;
	}
	grown = reallocarray(*items, *count + 1, size);
	if (!grown) {
		(void)log_oom();
		return NULL;
	}
	*items = grown;
	return memset(grown + size * (*count)++, 0, size);
}

/* The default name of an interface inside, as systemd-nspawn has it. */
static int default_guest_name(struct spec_link *link)
{
	static const char *const prefixes[] = {
		[SPEC_LINK_MACVLAN] = "mv-",
		[SPEC_LINK_IPVLAN] = "iv-",
	};
	autofree char *alias = NULL;
	char name[IFNAMSIZ];

	if (link->kind == SPEC_LINK_INTERFACE)
		return 0;
	if (link->kind == SPEC_LINK_VETH)
		return copy_text(&link->guest, link->host);
	if (net_link_name(prefixes[link->kind], link->host, name, &alias) < 0)
		return log_oom();
	return copy_text(&link->guest, name);
}

static int add_link(struct spec *spec, const struct setting_value *value, enum spec_link_kind kind)
{
	autocall(value_link_done) struct value_link parsed = {};
	struct spec_link *link;

	if (value_parse_link(value->text, &parsed) < 0)
		return log_oom();
	if (kind == SPEC_LINK_VETH && !net_link_name_is_valid(parsed.host))
		return log_error(-EINVAL, "%s: \"%s\" is too long for the name of an interface",
				 value->origin, parsed.host);
	link = grow(value, &spec->links, &spec->link_count, sizeof(*link), SPEC_LINKS_MAX);
	if (!link)
		return -EINVAL;
	link->kind = kind;
	link->host = take_ptr(parsed.host);
	link->guest = take_ptr(parsed.guest);
	return link->guest ? 0 : default_guest_name(link);
}

static int check_names_inside(struct resolution *resolution)
{
	const struct spec *spec = resolution->spec;

	for (size_t i = 0; i < spec->link_count; i++) {
		const char *name = spec->links[i].guest;

		if (!name)
			continue;
		if (streq(name, "lo") || (spec->veth && streq(name, "host0")))
			return log_error(-EINVAL, "two interfaces of the machine would be named %s",
					 name);
		for (size_t j = 0; j < i; j++)
			if (streq_null(spec->links[j].guest, name))
				return log_error(-EINVAL,
						 "two interfaces of the machine would be named %s",
						 name);
	}
	return 0;
}

static int resolve_links(struct resolution *resolution)
{
	static const struct {
		enum setting_id id;
		enum spec_link_kind kind;
	} rows[] = {
		{SETTING_VETH_EXTRA, SPEC_LINK_VETH},
		{SETTING_INTERFACE, SPEC_LINK_INTERFACE},
		{SETTING_MACVLAN, SPEC_LINK_MACVLAN},
		{SETTING_IPVLAN, SPEC_LINK_IPVLAN},
	};
	struct spec *spec = resolution->spec;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct setting_values *values = &resolution->settings->rows[rows[i].id];

		for (size_t j = 0; j < values->count; j++) {
			int r = add_link(spec, &values->items[j], rows[i].kind);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int exclude(const struct setting_value *a, const struct setting_value *b, const char *why)
{
	return log_error(-EINVAL, "%s and %s exclude each other: %s", a->origin, b->origin, why);
}

/* We add no interfaces to a namespace that is joined. */
static int check_netns_alone(const struct settings *settings)
{
	static const enum setting_id others[] = {
		SETTING_VETH,	SETTING_VETH_EXTRA, SETTING_INTERFACE, SETTING_MACVLAN,
		SETTING_IPVLAN, SETTING_BRIDGE,	    SETTING_ZONE,
	};
	const struct setting_value *path = settings_get(settings, SETTING_NETNS_PATH);

	for (size_t i = 0; path && i < ARRAY_SIZE(others); i++) {
		const struct setting_value *other = settings_get(settings, others[i]);

		/* A default of `start` is overridden by the request. */
		if (!other || other->source == SETTING_FROM_DEFAULT)
			continue;
		if (others[i] == SETTING_VETH && !settings_bool(settings, SETTING_VETH, false))
			continue;
		return exclude(path, other,
			       "a namespace that is joined has its interfaces already");
	}
	return 0;
}

static int resolve_kind(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	const struct setting_value *bridge = settings_get(settings, SETTING_BRIDGE);
	const struct setting_value *zone = settings_get(settings, SETTING_ZONE);
	const char *netns = settings_text(settings, SETTING_NETNS_PATH);
	struct spec *spec = resolution->spec;
	int r;

	if (bridge && zone)
		return exclude(bridge, zone, "host0 can be a port of one bridge");
	r = check_netns_alone(settings);
	if (r >= 0)
		r = copy_text(&spec->bridge, bridge ? bridge->text : NULL);
	if (r >= 0)
		r = copy_text(&spec->zone, zone ? zone->text : NULL);
	if (r >= 0)
		r = copy_text(&spec->netns_path, netns);
	if (r < 0)
		return r;
	if (netns && *netns != '/')
		return log_error(-EINVAL, "%s: \"%s\" is no absolute path",
				 settings_get(settings, SETTING_NETNS_PATH)->origin, netns);
	spec->veth = !netns && (bridge || zone || settings_bool(settings, SETTING_VETH, false));
	spec->private_network = spec->veth || netns || spec->link_count > 0 ||
				settings_bool(settings, SETTING_PRIVATE_NETWORK, false);
	spec->vsock = settings_bool(settings, SETTING_NETWORK_VSOCK, false);
	spec->abstract_sockets = settings_bool(settings, SETTING_NETWORK_ABSTRACT, false);
	return 0;
}

static int resolve_ports(struct resolution *resolution)
{
	const struct setting_values *values = &resolution->settings->rows[SETTING_PORT];
	struct spec *spec = resolution->spec;

	for (size_t i = 0; i < values->count; i++) {
		const struct setting_value *value = &values->items[i];
		struct net_port *port;

		if (!spec->private_network)
			return log_error(
				-EINVAL,
				"%s: a machine in the host's network has the host's ports; "
				"forwarding needs one of its own, such as --network-veth",
				value->origin);
		port = grow(value, &spec->ports, &spec->port_count, sizeof(*port), SPEC_PORTS_MAX);
		if (!port)
			return -EINVAL;
		(void)net_port_parse(value->text, port);
		if (strv_add(&spec->port_origins, value->origin) < 0)
			return log_oom();
	}
	return 0;
}

static int resolve_address_list(const struct settings *settings, enum setting_id id,
				struct net_address **items, size_t *count)
{
	const struct setting_values *values = &settings->rows[id];

	for (size_t i = 0; i < values->count; i++) {
		struct net_address *address =
			grow(&values->items[i], items, count, sizeof(*address), SPEC_ADDRESSES_MAX);

		if (!address)
			return -EINVAL;
		(void)net_address_parse(values->items[i].text, address);
	}
	return 0;
}

static int resolve_prefixes(struct resolution *resolution)
{
	const struct setting_values *values = &resolution->settings->rows[SETTING_NETWORK_ADDRESS];
	struct spec *spec = resolution->spec;

	for (size_t i = 0; i < values->count; i++) {
		struct net_prefix *prefix =
			grow(&values->items[i], &spec->addresses, &spec->address_count,
			     sizeof(*prefix), SPEC_ADDRESSES_MAX);

		if (!prefix)
			return -EINVAL;
		(void)net_prefix_parse(values->items[i].text, prefix);
	}
	return 0;
}

/* Addresses are those of host0. */
static int check_addresses(const struct resolution *resolution)
{
	static const enum setting_id rows[] = {SETTING_NETWORK_ADDRESS, SETTING_NETWORK_GATEWAY};
	const struct settings *settings = resolution->settings;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct setting_value *value = settings_get(settings, rows[i]);

		if (value && !resolution->spec->veth)
			return log_error(-EINVAL,
					 "%s: only host0 is given addresses, and the machine has "
					 "none: --network-veth, --network-bridge= or "
					 "--network-zone= make one",
					 value->origin);
		if (value && !resolution->spec->configure_network)
			return exclude(value, settings_get(settings, SETTING_NETWORK_CONFIGURE),
				       "it leaves host0 without addresses");
	}
	return 0;
}

static int resolve_checks(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	struct spec *spec = resolution->spec;

	spec->check_source = settings_bool(settings, SETTING_NETWORK_CHECK_SOURCE, true);
	spec->vlans = settings_bool(settings, SETTING_NETWORK_VLANS, false);
	if (spec->vlans && spec->check_source)
		return log_error(-EINVAL,
				 "%s: which addresses the machine has in a VLAN is not known, so "
				 "that its source can't be checked: add "
				 "--network-check-source=no, or leave this out",
				 settings_get(settings, SETTING_NETWORK_VLANS)->origin);
	return 0;
}

static int resolve_addresses(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	struct spec *spec = resolution->spec;
	int r = resolve_prefixes(resolution);

	spec->configure_network = settings_bool(settings, SETTING_NETWORK_CONFIGURE, true);
	if (r >= 0)
		r = resolve_checks(resolution);
	if (r >= 0)
		r = resolve_address_list(settings, SETTING_NETWORK_GATEWAY, &spec->gateways,
					 &spec->gateway_count);
	if (r >= 0)
		r = resolve_address_list(settings, SETTING_NETWORK_DNS, &spec->name_servers,
					 &spec->name_server_count);
	return r < 0 ? r : check_addresses(resolution);
}

static void resolve_resolv_conf(struct resolution *resolution)
{
	static const struct {
		enum spec_resolv_conf_how how;
		enum spec_resolv_conf_what what;
	} modes[] = {
		[VALUE_RESOLV_CONF_OFF] = {SPEC_RESOLV_CONF_OFF, SPEC_RESOLV_CONF_HOST},
		[VALUE_RESOLV_CONF_COPY_HOST] = {SPEC_RESOLV_CONF_COPY, SPEC_RESOLV_CONF_HOST},
		[VALUE_RESOLV_CONF_COPY_STATIC] = {SPEC_RESOLV_CONF_COPY, SPEC_RESOLV_CONF_STATIC},
		[VALUE_RESOLV_CONF_COPY_UPLINK] = {SPEC_RESOLV_CONF_COPY, SPEC_RESOLV_CONF_UPLINK},
		[VALUE_RESOLV_CONF_COPY_STUB] = {SPEC_RESOLV_CONF_COPY, SPEC_RESOLV_CONF_STUB},
		[VALUE_RESOLV_CONF_REPLACE_HOST] = {SPEC_RESOLV_CONF_REPLACE,
						    SPEC_RESOLV_CONF_HOST},
		[VALUE_RESOLV_CONF_REPLACE_STATIC] = {SPEC_RESOLV_CONF_REPLACE,
						      SPEC_RESOLV_CONF_STATIC},
		[VALUE_RESOLV_CONF_REPLACE_UPLINK] = {SPEC_RESOLV_CONF_REPLACE,
						      SPEC_RESOLV_CONF_UPLINK},
		[VALUE_RESOLV_CONF_REPLACE_STUB] = {SPEC_RESOLV_CONF_REPLACE,
						    SPEC_RESOLV_CONF_STUB},
		[VALUE_RESOLV_CONF_BIND_HOST] = {SPEC_RESOLV_CONF_BIND, SPEC_RESOLV_CONF_HOST},
		[VALUE_RESOLV_CONF_BIND_STATIC] = {SPEC_RESOLV_CONF_BIND, SPEC_RESOLV_CONF_STATIC},
		[VALUE_RESOLV_CONF_BIND_UPLINK] = {SPEC_RESOLV_CONF_BIND, SPEC_RESOLV_CONF_UPLINK},
		[VALUE_RESOLV_CONF_BIND_STUB] = {SPEC_RESOLV_CONF_BIND, SPEC_RESOLV_CONF_STUB},
		[VALUE_RESOLV_CONF_DELETE] = {SPEC_RESOLV_CONF_DELETE, SPEC_RESOLV_CONF_HOST},
		[VALUE_RESOLV_CONF_AUTO] = {SPEC_RESOLV_CONF_AUTO, SPEC_RESOLV_CONF_HOST},
	};
	const char *text = settings_text(resolution->settings, SETTING_RESOLV_CONF);
	enum value_resolv_conf mode = VALUE_RESOLV_CONF_AUTO;

	if (text)
		(void)value_parse_resolv_conf(text, &mode);
	resolution->spec->resolv_conf_how = modes[mode].how;
	resolution->spec->resolv_conf_what = modes[mode].what;
}

int spec_resolve_network(struct resolution *resolution)
{
	static int (*const steps[])(struct resolution *) = {
		resolve_links,	    resolve_kind, /* behind the links */
		check_names_inside, resolve_ports, resolve_addresses,
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i](resolution);

		if (r < 0)
			return r;
	}
	resolve_resolv_conf(resolution);
	return 0;
}
