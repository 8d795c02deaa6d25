/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's forwarded ports, as long as its supervisor lives. Each port of the host is bound and
 * listened on, so that nobody else takes it, `ss -l` shows it, and two machines can't both have it;
 * what the packet filter does not divert (::1, or everything where there is no nf_tables) is
 * accepted there and passed on by splice. Ranges of more than PORTS_RANGE_MAX ports are the
 * filter's alone. The caller sets the filter whenever ports or targets change. Supervisor's side.
 */
#pragma once

#include <stddef.h>

#include "lib/event.h"
#include "net/address.h"
#include "net/port.h"

struct ports;

#define PORTS_RANGE_MAX 256

/* Nothing is bound so far. 0 or -ENOMEM. */
int ports_new(struct event_loop *loop, const char *machine, struct ports **ret);
void ports_free(struct ports *ports);
/* Binds; loud: a port that is taken is said with its owner. `origin` begins the message. */
int ports_add(struct ports *ports, const struct net_port *port, const char *origin);

/* Why a port was not added. */
struct ports_failure {
	char *text;  /* a sentence about the port, without its end: "8080/tcp is taken" */
	char *owner; /* of a port that is taken (-EADDRINUSE), when known without a search: "machine
			web"; else NULL */
	struct net_port port; /* the one that is taken, for the search */
};

void ports_failure_done(struct ports_failure *failure);
/* As ports_add(), but quiet, and without a search for the owner: *ret tells why. */
int ports_try_add(struct ports *ports, const struct net_port *port, struct ports_failure *ret);
/* -ENOENT when the very same was not added. Open connections of a proxy are ended. */
int ports_remove(struct ports *ports, const struct net_port *port);
/*
 * Where they lead to from now on: the machine's addresses, none (or NULL) for not known or not
 * running. With a target the soft limit of descriptors is as high as it may be, without one it is
 * what it was: PID 1 inherits it.
 */
void ports_set_target(struct ports *ports, const struct net_address *target4,
		      const struct net_address *target6);
/*
 * The packet filter could not be set for these ports (`error`): they are proxied instead. Says so
 * once, and which ones nobody forwards now.
 */
void ports_warn_unfiltered(struct ports *ports, int error);
/* No proxy can take the packet filter's place: SCTP, and large ranges. */
bool ports_needs_filter(const struct net_port *port);
/* Takes back the port that was added last, since the filter could not be set. Returns `error`. */
int ports_refuse_last(struct ports *ports, int error, struct ports_failure *ret);
/* Borrowed until the next add or remove. */
const struct net_port *ports_get(const struct ports *ports, size_t *ret_count);
