/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The addresses that a machine has in its own network namespace. Quiet. */
#pragma once

struct machine_state;

/*
 * Appends "10.0.0.2", "fe80::1"… of all its interfaces but loopback, IPv4 first. At most
 * ADDRESSES_MAX. 0 also when it has the host's network: those are not its addresses.
 */
#define ADDRESSES_MAX 256
int machine_get_addresses(const struct machine_state *machine, char ***ret);
