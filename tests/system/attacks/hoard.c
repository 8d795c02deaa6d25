/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hoard inotify|ptys|namespaces: takes all that it gets, up to 4000, tells how many, and keeps
 * them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

static int take(const char *what)
{
	if (strcmp(what, "inotify") == 0)
		return inotify_init();
	if (strcmp(what, "ptys") == 0)
		return open("/dev/ptmx", O_RDWR | O_NOCTTY);
	return unshare(CLONE_NEWUTS) < 0 ? -1 : open("/proc/self/ns/uts", O_RDONLY);
}

int main(int argc, char *argv[])
{
	struct rlimit limit;
	int count = 0;

	(void)argc;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	while (count < 4000 && take(argv[1]) >= 0)
		count++;
	printf("%d taken\n", count);
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
