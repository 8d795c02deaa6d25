/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the host's routes lead. The addresses of a machine that nobody leased are what the guest
 * says; a port must not lead to the host itself or to somebody else because of that. Quiet.
 */
#pragma once

#include <stdbool.h>

#include "net/address.h"

/*
 * Whether the address is reached through that interface; NULL: through any. Never true for the
 * host's own addresses, nor where there is no route.
 */
bool network_route_leads(const struct net_address *address, const char *interface);
