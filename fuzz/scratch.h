/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A folder for targets that need real files. In memory where that is possible: on a disk, making
 * and removing folders takes most of a run's time.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_path[64];

static inline void scratch_remove(void)
{
	(void)rmdir(scratch_path);
}

/* Made once in the life of the program, which removes it at its end if it is empty. A descriptor,
 * never closed. */
static inline int scratch_folder(const char *name)
{
	static int fd = -1;

	if (fd >= 0)
		return fd;
	(void)snprintf(scratch_path, sizeof(scratch_path), "%s/fuzz-%s.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name);
	if (!mkdtemp(scratch_path))
		abort();
	(void)atexit(scratch_remove);
	fd = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

static inline bool scratch_is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	bool empty = true;

	if (!dir)
		abort();
	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	(void)closedir(dir);
	return empty;
}
