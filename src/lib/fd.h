/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File descriptors. Quiet. Everything opened here is close-on-exec. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"

/* Sends `size` bytes with `count` descriptors over a unix socket; 0 or -errno. */
int fd_send(int socket, const void *data, size_t size, const int *fds, size_t count);
/*
 * Receives one message. *ret_count descriptors are stored in fds (at most `max`; more are closed
 * and -EMSGSIZE returned). Returns the number of bytes, 0 at end of file, or -errno.
 */
ssize_t fd_receive(int socket, void *data, size_t size, int *fds, size_t max, size_t *ret_count);

int fd_set_nonblock(int fd, bool on);
/*
 * A description of our own of the pipe, fifo or terminal behind `fd`, non-blocking; `mode` as in
 * open(2). O_NONBLOCK on `fd` itself would also be that of every program that shares it.
 * -EOPNOTSUPP for anything else: a file opened again would begin at its start, the master of a
 * terminal would be a new terminal.
 */
int fd_reopen_nonblock(int fd, int mode);
/* Descriptors or memory have run out, for now. `error` is a negative errno. */
bool fd_is_shortage(int error);
/*
 * Opens /dev/null on every one of 0, 1, 2 that is closed, so that later opens can't land there.
 * Writing to a standard output that was closed fails with EBADF as before.
 */
int fd_reserve_stdio(void);
/* The number of open descriptors of this process, for tests; or -errno. */
int fd_count(void);
