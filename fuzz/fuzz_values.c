/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms that values of settings have, and names that come from elsewhere: each check gets the
 * text. Aborts when a path inside can leave the tree, when a port or an address that was taken is
 * another one once printed, or when two checks of one name differ.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/name.h"
#include "lib/path.h"
#include "lib/str.h"
#include "net/link_name.h"
#include "net/port.h"
#include "nix/names.h"
#include "settings/table.h"
#include "settings/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const char *path)
{
	if (path[0] != '/' || strstr(path, "/../") || str_after_prefix(path, "../") ||
	    (strlen(path) >= 3 && streq(path + strlen(path) - 3, "/..")))
		abort();
}

static void check_mounts(const char *text)
{
	struct value_bind bind = {};
	struct value_tmpfs tmpfs = {};

	if (value_parse_bind(text, &bind) == 0) {
		check_inside(bind.target);
		value_bind_done(&bind);
	}
	if (value_parse_tmpfs(text, &tmpfs) == 0) {
		check_inside(tmpfs.target);
		value_tmpfs_done(&tmpfs);
	}
}

static void check_network(const char *text)
{
	char printed[NET_PORT_TEXT], printed_address[NET_ADDRESS_TEXT];
	struct net_port port, port_again;
	struct net_address address, address_again;
	struct value_link link = {};

	if (net_port_parse(text, &port) == 0 &&
	    (net_port_parse(net_port_format(&port, printed), &port_again) < 0 ||
	     port.first != port_again.first || port.last != port_again.last || port.first == 0 ||
	     port.last < port.first || port.guest_first != port_again.guest_first ||
	     !net_address_equal(&port.bind, &port_again.bind)))
		abort();
	if (net_address_parse(text, &address) == 0 &&
	    (net_address_parse(net_address_format(&address, printed_address), &address_again) < 0 ||
	     !net_address_equal(&address, &address_again)))
		abort();
	if (value_parse_link(text, &link) == 0) {
		if (link.guest && !net_link_name_is_valid(link.guest))
			abort();
		value_link_done(&link);
	}
}

static void check_names(const char *text)
{
	const char *name = nix_name_of_path(text);
	const char *version;
	unsigned generation;
	size_t length;

	if (machine_name_is_valid(text) && (!path_name_is_valid(text) || *text == '.'))
		abort();
	if (name && (!nix_name_is_valid(name) || strchr(name, '/')))
		abort();
	if (nix_name_is_valid(text)) {
		(void)nix_name_split(text, &length, &version);
		if (length > strlen(text))
			abort();
	}
	(void)nix_generation_of_link(text, &generation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = strndup((const char *)data, size);

	if (!text)
		return 0;
	for (size_t i = 0; i < SETTING_TYPE_COUNT; i++)
		(void)setting_types[i].check(text);
	check_mounts(text);
	check_network(text);
	check_names(text);
	return 0;
}
