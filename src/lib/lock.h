/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks that die with their holder: open-file-description locks (fcntl(2), F_OFD_SETLK), so that
 * a crash frees them and a fork shares them. Quiet.
 */
#pragma once

#include <stdbool.h>

/* Opens (makes, 0600) dirfd/name and locks it. -EBUSY when somebody else holds it. A descriptor. */
int lock_take_at(int dirfd, const char *name, bool shared);
/* As above, but waits. */
int lock_wait_at(int dirfd, const char *name, bool shared);
/* Locks an open descriptor. 0, -EBUSY or -errno. */
int lock_take_fd(int fd, bool shared);
/* 1 held by somebody (their pid is not known: OFD locks have none), 0 free, -errno. */
int lock_is_held_at(int dirfd, const char *name);
