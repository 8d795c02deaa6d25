// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looks for who keeps a PID 1 from ending. Must never act on a pid that it read. Host side. */
#include "machine/unreaped.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"

#define STAT_MAX_BYTES 4096
/* include/linux/sched.h */
#define PF_EXITING 0x4

struct process {
	char name[32];
	char state;
	pid_t parent;
	unsigned flags;
};

/* proc(5), /proc/PID/stat: "pid (name) state ppid pgrp session tty_nr tpgid flags …" */
static int read_process(int proc_fd, struct process *ret)
{
	autofree char *text = NULL;
	char *name, *end, *rest;
	long fields[6]; /* ppid to flags */
	int r = io_read_file_at(proc_fd, "stat", STAT_MAX_BYTES, &text, NULL);

	if (r < 0)
		return r;
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (!name || !end || end < name)
		return -EBADMSG;
	*end = '\0';
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name + 1);
	if (end[1] != ' ' || !end[2])
		return -EBADMSG;
	ret->state = end[2];
	rest = end + 3;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = strtol(rest, &rest, 10);
	ret->parent = (pid_t)fields[0];
	ret->flags = (unsigned)fields[ARRAY_SIZE(fields) - 1];
	return 0;
}

static int open_process(int proc_fd, const char *name)
{
	int fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_in_namespace(int proc_fd, const struct stat *namespace)
{
	struct stat st;

	return fstatat(proc_fd, "ns/pid", &st, 0) == 0 && st.st_ino == namespace->st_ino &&
	       st.st_dev == namespace->st_dev;
}

static bool is_unreaped(int all, const char *name, const struct stat *namespace,
			struct unreaped *ret)
{
	autoclose int process_fd = open_process(all, name), parent_fd = -1;
	struct process process, parent;
	char number[16];

	if (process_fd < 0 || read_process(process_fd, &process) < 0 || process.state != 'Z' ||
	    !is_in_namespace(process_fd, namespace))
		return false;
	(void)snprintf(number, sizeof(number), "%d", process.parent);
	parent_fd = open_process(all, number);
	if (parent_fd < 0 || read_process(parent_fd, &parent) < 0 ||
	    is_in_namespace(parent_fd, namespace))
		return false;
	ret->parent = process.parent;
	(void)snprintf(ret->parent_name, sizeof(ret->parent_name), "%s", parent.name);
	return true;
}

static int search(const struct stat *namespace, struct unreaped *ret)
{
	DIR *all = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	if (!all)
		return -errno;
	while (!found && (entry = readdir(all)))
		found = parse_i32(entry->d_name, &ret->pid) >= 0 &&
			is_unreaped(dirfd(all), entry->d_name, namespace, ret);
	(void)closedir(all);
	return found;
}

int machine_find_unreaped(const struct leader *leader, struct unreaped *ret)
{
	struct process init;
	struct stat namespace;
	int r = read_process(leader->proc_fd, &init);

	if (r < 0)
		return r;
	/* While it lives, one that has just ended is no matter. */
	if (!(init.flags & PF_EXITING))
		return 0;
	return fstatat(leader->proc_fd, "ns/pid", &namespace, 0) < 0 ? -errno
								     : search(&namespace, ret);
}

char *machine_describe_unreaped(const struct unreaped *unreaped)
{
	return str_printf("process %d, which %d (%s) has not reaped", unreaped->pid,
			  unreaped->parent, unreaped->parent_name);
}
