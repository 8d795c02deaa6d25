/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of running machines and their addresses, published for everybody on the host: a file in
 * /run/redd/names for each, one address a line, readable by all, replaced as a whole. Read by the
 * name service of each link, by libnss_redd and by `redd hosts`. Quiet: 0 or -errno.
 *
 * A machine's full name is NAME.redd. Its bare name is published, too, where nobody can mean
 * anything else by it. The file's name tells which: NAME stands for both, NAME.redd for itself
 * alone. So a bare name never ends in .redd, and has no dot at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

#define NET_NAMES_DIR "/run/redd/names"
#define NET_NAMES_ADDRESSES_MAX 16
/* No zone of the DNS: the names stay on this host, whose readers come before any resolver. */
#define NET_NAMES_SUFFIX ".redd"

/* Without regard to case, in no locale. */
bool net_name_equal(const char *a, const char *b);
/* One that is never published bare, whatever this host has: a dot, an address, localhost … */
bool net_name_is_reserved(const char *name);
/*
 * Why a machine with these addresses is published under its full name only: words for people behind
 * "because", static. NULL: under its bare name, too. Reads /etc/hosts. Supervisor's side.
 */
const char *net_name_conflict(const char *machine, const struct net_address *addresses,
			      size_t count);

/*
 * Makes the directory (0755) where it is missing; bare unless net_name_conflict() has a reason. No
 * address at all withdraws the name.
 */
int net_names_publish(const char *machine, const struct net_address *addresses, size_t count);
void net_names_withdraw(const char *machine);
/* The same after a supervisor that was killed, maybe while it published. */
void net_names_clean(const char *machine);
/* What the name is that is published: a new string, or NULL when none is. */
char *net_names_published_as(const char *machine);
/*
 * By name, bare or full, without regard to case; `name` is anybody's text and may hold anything. Up
 * to NET_NAMES_ADDRESSES_MAX into ret, their number, or -ENOENT.
 */
int net_names_find(const char *name, struct net_address ret[NET_NAMES_ADDRESSES_MAX]);
/* By address: the bare name, else the full one. A new string in *ret, or -ENOENT. */
int net_names_find_address(const struct net_address *address, char **ret);
/* One name of each, the bare one where it has it, sorted: a new strv. */
int net_names_list(char ***ret);
