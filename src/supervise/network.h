/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine's network as far as its supervisor serves it: the ports for its whole life; for each
 * boot DHCP, RA and DNS on its link, its name, and where the ports lead to. The links themselves
 * are the host modules' (host/network/network.c). Supervisor's side.
 */
#pragma once

#include "serve/ports.h"

struct network;
struct supervisor;

/*
 * Before the first boot: takes the spec's ports. *ret is NULL for a machine in the host's network,
 * which every function takes. 0 or -errno, said.
 */
int network_new(struct supervisor *s, struct network **ret);
void network_free(struct network *network);
/* Once PID 1 executes. What fails has been said, and is no reason to end the machine. */
void network_boot(struct network *network);
/* Before the links go. May be called without network_boot(). */
void network_down(struct network *network);

/* For the control socket. -EOPNOTSUPP for the host's network. *ret as ports_try_add() has it. */
int network_add_port(struct network *network, const struct net_port *port,
		     struct ports_failure *ret);
int network_remove_port(struct network *network, const struct net_port *port);
/* None for the host's network. Borrowed until the next add or remove. */
const struct net_port *network_ports(const struct network *network, size_t *ret_count);
