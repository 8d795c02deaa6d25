/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that appears under its name complete or not at all: written without a name where the file
 * system can (so that nothing is left of a killed writer), else under a hidden one; synced, then
 * renamed. Pipes, devices and "-" are written to as they are. Loud.
 */
#pragma once

#include <stdbool.h>

#include "lib/cleanup.h"

struct output {
	const char *path; /* as it was given */
	int fd;		  /* write here */
	int dir_fd;
	const char *name; /* in dir_fd; a pointer into `path` */
	char *hidden;	  /* NULL: it has no name yet */
	bool replaces;	  /* there is something to publish: not a pipe */
};

int output_open(const char *path, struct output *ret);
int output_publish(struct output *o);
/* Removes what was not published. */
void output_done(struct output *o);
#define autooutput autocall(output_done)
