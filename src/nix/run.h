/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs of Nix, and ssh, by posix_spawn(3) from PATH: stderr is the caller's, so that what they
 * say is seen. Quiet but for the program's own words.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Standard input and output of a program; -1: /dev/null for input, the caller's for output. */
struct nix_run_fds {
	int in, out;
};

/* Starts argv[0], found in PATH. -ENOENT: there is no such program. */
int nix_run_start(char *const argv[], struct nix_run_fds fds, pid_t *ret);
/* Its exit code (0 to 255; 128 + N when signal N ended it), or -errno. */
int nix_run_wait(pid_t pid);

/*
 * Runs it and keeps its output, at most `max` bytes (-EFBIG). `in_fd` as above. Its exit code or
 * -errno; *ret, NUL-terminated, is set for every exit code.
 */
int nix_run_read(char *const argv[], int in_fd, size_t max, char **ret);
