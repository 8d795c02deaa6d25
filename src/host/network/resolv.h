/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /etc/resolv.conf of a machine, between host/network/resolv.c and its neighbours. Quiet, pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"

struct host_facts;
struct plan;
struct spec;

/* What the tree has at /etc/resolv.conf. */
enum host_resolv_target {
	HOST_RESOLV_MISSING, /* /etc is there */
	HOST_RESOLV_FILE,
	HOST_RESOLV_RUN,   /* a link that leads beneath /run, to facts->resolv_run_path there */
	HOST_RESOLV_LINK,  /* one that leads elsewhere */
	HOST_RESOLV_OTHER, /* no file, or one that a mount puts there */
	HOST_RESOLV_NO_ETC,
};

/* "nameserver …" lines; those not set are left out. A new string, or NULL without memory. */
char *resolv_conf_text(const struct net_address *servers, size_t count);
/* Every name server it tells is an address of the host itself (127.0.0.0/8, ::1), and there is one.
 */
bool resolv_conf_is_local(const char *text);
/*
 * Where a link at /etc/resolv.conf leads beneath /run: a new string, relative to /run. -ENOENT when
 * it leads elsewhere, or into /run/host, which is ours. -ENOMEM.
 */
int resolv_path_below_run(const char *link, char **ret);

/*
 * What is to lie in /run/host/resolv.conf, to be mounted over the file of a tree that can't be
 * written to; or NULL. Owned by the plan.
 */
const char *resolv_plan_shadow(const struct spec *spec, const struct host_facts *facts,
			       struct plan *plan);
