/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New ptys in another root. Quiet: 0 or -errno. */
#pragma once

#include <stdint.h>

/*
 * A pty of the devpts below root_fd: *ret_master, and *ret_slave opened by TIOCGPTPEER, never by
 * name (P06); it belongs to the user uid_shift and to the group tty there. *ret_number is the N of
 * /dev/pts/N.
 */
int pty_open(int root_fd, uint32_t uid_shift, int *ret_master, int *ret_slave,
	     unsigned *ret_number);
