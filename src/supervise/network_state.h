/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the state of a machine tells of its network, for `redd status` and others who don't ask the
 * supervisor. Changes the state in memory only: the caller writes it. Out of memory is said.
 * Supervisor's side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "host/host.h"
#include "machine/registry.h"

/* At a boot: rules, zone, bridge, and notes on what is in the way, which are said, too. */
void network_state_describe(struct machine_state *state, const struct spec *spec,
			    const struct host_network *network, bool has_filter);
void network_state_set_ports(struct machine_state *state, const struct net_port *ports,
			     size_t count);
void network_state_set_addresses(struct machine_state *state, const struct net_address *addresses,
				 size_t count);
/* Why the bare name of the machine is not published, if it isn't. Said once for each reason. */
void network_state_note_name(struct machine_state *state, const struct net_address *addresses,
			     size_t count);
