/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard streams for a program in a machine when there is no terminal for it: what is a pipe or
 * a file of the caller's is handed on, what is a terminal is replaced by a pipe and copied (T01).
 */
#pragma once

#include <sys/types.h>

struct relay {
	int inner[3]; /* for the program; close with relay_release() once it has them */
	int outer[3]; /* our ends of the pipes, or -1 */
};

int relay_open(struct relay *ret);
void relay_release(struct relay *relay);
/* Copies until the child ends; passes SIGINT, SIGTERM, SIGHUP and SIGQUIT on to it. 0 or -errno. */
int relay_run(struct relay *relay, pid_t child, int *ret_status);
