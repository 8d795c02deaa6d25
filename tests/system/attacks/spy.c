/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * X03: looks into every process that enters, before it executes, which is as long as its name is
 * redd's. Prints what could be opened, and at the end how many it met.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_redd(const char *pid)
{
	char path[300], name[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (read(fd, name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	close(fd);
	return strncmp(name, "redd", 4) == 0;
}

static void look(const char *pid)
{
	static const char *const names[] = {"mem",  "environ",	"maps", "fd/3", "fd/4",
					    "fd/0", "root/etc", "cwd/", "exe",	"auxv"};
	char path[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/%s", pid, names[i]);
		fd = open(path, O_RDONLY | O_NONBLOCK);
		/* Count only what was opened before it executed. */
		if (fd >= 0 && is_redd(pid))
			printf("opened %s\n", names[i]);
		if (fd >= 0)
			close(fd);
	}
}

static void trace(const char *pid)
{
	pid_t number = atoi(pid);

	if (ptrace(PTRACE_SEIZE, number, 0, 0) < 0)
		return;
	ptrace(PTRACE_INTERRUPT, number, 0, 0);
	waitpid(number, NULL, __WALL);
	if (is_redd(pid))
		puts("opened ptrace");
	ptrace(PTRACE_DETACH, number, 0, 0);
}

int main(int argc, char *argv[])
{
	unsigned met = 0;
	sig_atomic_t rounds = atoi(argv[1]);

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("watching");
	for (; access("/tmp/stop", F_OK) != 0 && rounds > 0; rounds--) {
		DIR *dir = opendir("/proc");
		struct dirent *entry;

		while ((entry = readdir(dir))) {
			if (atoi(entry->d_name) <= 1 || !is_redd(entry->d_name))
				continue;
			met++;
			look(entry->d_name);
			trace(entry->d_name);
		}
		closedir(dir);
	}
	printf("met %u\n", met);
	return 0;
}
