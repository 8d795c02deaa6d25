/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs programs of Nix, and ssh, found in PATH. Their stderr is the caller's, so that the user sees
 * their messages. Quiet otherwise.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Standard input and output of a program; -1: /dev/null for input, the caller's for output. */
struct nix_run_fds {
	int in, out;
};

/* Starts argv[0]. -ENOENT: there is no such program. */
int nix_run_start(char *const argv[], struct nix_run_fds fds, pid_t *ret);
/* Its exit code (0 to 255; 128 + N when signal N ended it), or -errno. */
int nix_run_wait(pid_t pid);

/*
 * Runs a program and returns its output, at most `max` bytes (-EFBIG). `in_fd` as above. Returns
 * the exit code or -errno; *ret, NUL-terminated, is set for every exit code.
 */
int nix_run_read(char *const argv[], int in_fd, size_t max, char **ret);
