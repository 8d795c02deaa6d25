/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc/PID/stat says of a process. Quiet. Source: proc(5). */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct process_stat {
	char name[32];
	char state; /* 'Z': ended, not reaped */
	pid_t parent;
	unsigned flags;	    /* PF_… of include/linux/sched.h */
	uint64_t starttime; /* field 22, clock ticks since boot */
};

/* Reads the file `path` below dir_fd. -EBADMSG when it can't be understood. */
int process_read_stat(int dir_fd, const char *path, struct process_stat *ret);
