/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and hardware addresses of a machine's links, by systemd-nspawn's rules: a networkd file or
 * a lease made for a machine keeps matching. Pure and quiet.
 */
#pragma once

#include <net/if.h>
#include <netinet/if_ether.h>
#include <stdbool.h>
#include <stdint.h>

/* Whose hardware address: each role has a key of its own. */
enum net_role {
	NET_ROLE_HOST,	     /* ve-NAME, vb-NAME */
	NET_ROLE_GUEST,	     /* host0 */
	NET_ROLE_EXTRA_HOST, /* --network-veth-extra=, numbered */
	NET_ROLE_EXTRA_GUEST,
	NET_ROLE_MACVLAN, /* numbered */
	NET_ROLE_COUNT,
};

/* 1 to 15 bytes, no blank, slash or colon, not "." or "..", not a number alone. */
bool net_link_name_is_valid(const char *name);

/*
 * PREFIX and `name` as an interface name. Where that is too long: 11 characters of it and 24 bits
 * of a hash; the full name is then in *ret_alias (new string), else that is NULL. 0 or -ENOMEM.
 */
int net_link_name(const char *prefix, const char *name, char ret[IFNAMSIZ], char **ret_alias);

/* host_id: the host's machine id, 32 hexadecimal digits, or "" where there is none. */
void net_link_mac(const char *host_id, const char *machine, enum net_role role, uint64_t number,
		  uint8_t ret[ETH_ALEN]);
