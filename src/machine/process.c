// SPDX-License-Identifier: LGPL-2.1-or-later
/* Parses /proc/PID/stat. A process chooses its own name: never trust it. Host side of clone(). */
#include "machine/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define STAT_MAX_BYTES 4096
#define FIRST_NUMBER 4 /* the parent's pid */
#define FLAGS 9
#define STARTTIME 22

/* "pid (name) state ppid pgrp session tty_nr tpgid flags …", counted from 1. */
int process_read_stat(int dir_fd, const char *path, struct process_stat *ret)
{
	autofree char *text = NULL;
	unsigned long long fields[STARTTIME + 1];
	char *name, *end, *rest, *after;
	int r = io_read_file_at(dir_fd, path, STAT_MAX_BYTES, &text, NULL);

	if (r < 0)
		return r;
	/* The name may hold anything, also parentheses and blanks: its end is the last ')'. */
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (!name || !end || end < name || end[1] != ' ' || !end[2])
		return -EBADMSG;
	*end = '\0';
	rest = end + 3;
	for (size_t i = FIRST_NUMBER; i <= STARTTIME; i++, rest = after) {
		fields[i] = strtoull(rest, &after, 10);
		if (after == rest)
			return -EBADMSG;
	}
	*ret = (struct process_stat){
		.state = end[2],
		.parent = (pid_t)fields[FIRST_NUMBER],
		.flags = (unsigned)fields[FLAGS],
		.starttime = fields[STARTTIME],
	};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name + 1);
	return 0;
}
