/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of running machines and their addresses, published for everybody on the host: a file
 * /run/redd/names/NAME for each, one address a line, readable by all, replaced as a whole. Read by
 * the name service of each link, by libnss_redd and by `redd hosts`. Quiet: 0 or -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

#define NET_NAMES_DIR "/run/redd/names"
#define NET_NAMES_ADDRESSES_MAX 16

/* As machines may be called: letters, digits, dashes and dots, not first a dot; 1 to 64 bytes. */
bool net_name_is_valid(const char *name);

/* Makes the directory (0755) where it is missing. No address at all withdraws the name. */
int net_names_publish(const char *machine, const struct net_address *addresses, size_t count);
void net_names_withdraw(const char *machine);
/* The same after a supervisor that was killed, maybe while it published. */
void net_names_clean(const char *machine);
/*
 * By name, without regard to case; `name` is anybody's text and may hold anything. Up to
 * NET_NAMES_ADDRESSES_MAX into ret, their number, or -ENOENT.
 */
int net_names_find(const char *name, struct net_address ret[NET_NAMES_ADDRESSES_MAX]);
/* By address. A new string in *ret, or -ENOENT. */
int net_names_find_address(const struct net_address *address, char **ret);
/* All names, sorted: a new strv. */
int net_names_list(char ***ret);
