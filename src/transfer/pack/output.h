/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An output file that appears under its name complete or not at all. It is written without a name,
 * so that a killed writer leaves nothing behind, or under a hidden name if the file system can't do
 * that. Then it is synced and renamed. Pipes, devices and "-" are written directly. Loud.
 */
#pragma once

#include <stdbool.h>

#include "lib/cleanup.h"

struct output {
	const char *path; /* as given; borrowed */
	int fd;		  /* write here */
	int dir_fd;
	const char *name; /* final name in dir_fd; points into `path` */
	char *hidden;	  /* temporary name in dir_fd; NULL: none yet */
	bool replaces;	  /* a regular file, which is to be published */
};

/* 0 or -errno. The caller calls output_done() in any case. */
int output_open(const char *path, struct output *ret);
/* Syncs the file and gives it its name. Does nothing for a pipe or device. 0 or -errno. */
int output_publish(struct output *o);
/* Closes the file, and removes it if it was not published. */
void output_done(struct output *o);
#define autooutput autocall(output_done)
