/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for interfaces of the host that get their first address, IPv4 or IPv6, while a machine
 * runs: what was done for the others when it started is to be done for them. Machines' own links
 * are none of them. Sleeps while nothing of that kind happens, also when addresses are renewed.
 * Quiet. Supervisor's side.
 */
#pragma once

#include <stdbool.h>

#include "lib/event.h"

struct uplinks;

/* Whether the interface is one of the host's; in doubt it is. */
typedef bool (*uplinks_is_host_fn)(unsigned index);

/* Some time after the address came, once for all that came meanwhile. */
typedef void (*uplinks_fn)(void *userdata);

/* In the caller's network namespace. 0 or -errno. */
int uplinks_new(struct event_loop *loop, uplinks_is_host_fn is_host, uplinks_fn fn, void *userdata,
		struct uplinks **ret);
/* NULL is nothing. */
void uplinks_free(struct uplinks *uplinks);
