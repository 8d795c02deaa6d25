/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard streams for a program in a machine when there is no terminal for it: pipes, between
 * which and the caller's own streams all is copied. The machine gets no file of the caller's, which
 * it could truncate or open anew, nor a terminal (T01). Bytes are not looked at. A side that does
 * not read stops the other; the end of one is passed on, in both directions.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct relay {
	int inner[3]; /* for the program; close with relay_release() once it has them */
	int outer[3]; /* our ends of the pipes, or -1: the program has the caller's own */
	/*
	 * After relay_run(): 0, or the -errno for which what was to be written there is lost:
	 * -EPIPE where the reader had enough.
	 */
	int write_error[3];
};

/* `pass`: what is no terminal is handed on as it is, and not copied. 0 or -errno, quiet. */
int relay_open(struct relay *ret, bool pass);
void relay_release(struct relay *relay);
/*
 * Copies until the child ends, and what is in the pipes then; closes them. What is left behind and
 * writes on is not waited for. Passes SIGINT, SIGTERM, SIGHUP and SIGQUIT on to the child. Standard
 * output and error come to be /dev/null when the program closes its own while it lives. SIGPIPE is
 * ignored afterwards. 0 with the status of waitpid(), or -errno; quiet.
 */
int relay_run(struct relay *relay, pid_t child, int *ret_status);
