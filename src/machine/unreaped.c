// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds the process that keeps a PID 1 from ending. Must never act on a pid that it read. Host side
 * of clone().
 */
#include "machine/unreaped.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "machine/process.h"

/* include/linux/sched.h */
#define PF_EXITING 0x4

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
	struct process_stat process, parent;
	char number[16];

	if (process_fd < 0 || process_read_stat(process_fd, "stat", &process) < 0 ||
	    process.state != 'Z' || !is_in_namespace(process_fd, namespace))
		return false;
	(void)snprintf(number, sizeof(number), "%d", process.parent);
	parent_fd = open_process(all, number);
	if (parent_fd < 0 || process_read_stat(parent_fd, "stat", &parent) < 0 ||
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
	struct process_stat init;
	struct stat namespace;
	int r = process_read_stat(leader->proc_fd, "stat", &init);

	if (r < 0)
		return r;
	/* While PID 1 lives, zombies do not matter. */
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
