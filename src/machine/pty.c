// SPDX-License-Identifier: LGPL-2.1-or-later
/* A new pty in a running machine: finds its root and its users. Host side of clone(). */
#include "term/pty.h"
#include "lib/fd.h"
#include "machine/enter.h"
#include "machine/leader.h"
#include "machine/registry.h"

int machine_open_pty(const struct machine_state *machine, int *ret_master, int *ret_slave,
		     unsigned *ret_number)
{
	uint32_t shift = machine->uid_range > 0 ? machine->uid_shift : 0;
	autoleader struct leader leader = {};
	autoclose int root = -1;
	int r = leader_open(machine, &leader);

	if (r < 0)
		return r;
	root = leader_open_root(&leader);
	return root < 0 ? root : pty_open(root, shift, ret_master, ret_slave, ret_number);
}
