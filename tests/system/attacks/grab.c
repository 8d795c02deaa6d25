/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * X03: stops every process of the machine all the time, looks for those that have entered and not
 * executed yet, and takes from them what it can: descriptors, memory that holds the needle,
 * environment, ids, capabilities. With CAP_SYS_PTRACE and no user namespace it can see it all.
 *     grab NEEDLE [PID]     with a PID only that, once
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char data[1 << 20];

static int open_of(const char *pid, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return open(path, O_RDONLY | O_NONBLOCK);
}

static size_t read_of(const char *pid, const char *name)
{
	int fd = open_of(pid, name);
	size_t size = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, data + size, sizeof(data) - 1 - size)) > 0)
		size += (size_t)n;
	if (fd >= 0)
		close(fd);
	data[size] = '\0';
	return size;
}

static int has_not_executed(const char *pid)
{
	(void)read_of(pid, "comm");
	return strncmp(data, "redd", 4) == 0;
}

static void show_descriptors(const char *pid)
{
	for (int fd = 0; fd < 64; fd++) {
		char path[300], target[300];
		struct stat it, ours;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		/* The text alone doesn't say whose "/root" it is. */
		if (stat(path, &it) == 0 && S_ISDIR(it.st_mode) && stat(target, &ours) == 0 &&
		    it.st_dev == ours.st_dev && it.st_ino == ours.st_ino)
			strcpy(target, "directory of the machine");
		printf("descriptor %d %s\n", fd, target);
	}
}

static void search_range(const char *pid, int mem, unsigned long start, unsigned long end,
			 const char *needle, const char *line)
{
	static char memory[1 << 22];
	size_t size = end - start < sizeof(memory) ? end - start : sizeof(memory);
	ssize_t n = pread(mem, memory, size, (off_t)start);

	if (n > 0 && memmem(memory, (size_t)n, needle, strlen(needle)))
		printf("needle in %s: %s\n", pid, line);
}

static void search_memory(const char *pid, const char *needle)
{
	static char maps[1 << 20];
	int mem = open_of(pid, "mem");
	char *saved = NULL;
	size_t size = read_of(pid, "maps");

	memcpy(maps, data, size + 1);
	printf("memory %s\n", mem >= 0 && size > 0 ? "opened" : "closed");
	for (char *line = strtok_r(maps, "\n", &saved); line && mem >= 0;
	     line = strtok_r(NULL, "\n", &saved)) {
		unsigned long start, end;
		char mode;

		if (sscanf(line, "%lx-%lx %c", &start, &end, &mode) == 3 && mode == 'r')
			search_range(pid, mem, start, end, needle, line);
	}
	if (mem >= 0)
		close(mem);
}

static void show_status(const char *pid)
{
	static const char *const fields[] = {
		"Uid:",	   "Gid:",    "Groups:", "CapInh:",	"CapPrm:",
		"CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
	size_t size = read_of(pid, "environ");
	int has_environment = size > 0 && memchr(data, '=', size);

	/* That of the program, once it has executed, is its own. */
	if (has_environment && has_not_executed(pid))
		puts("environment");
	(void)read_of(pid, "status");
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		char *field = strstr(data, fields[i]);

		if (field)
			printf("%.*s\n", (int)strcspn(field, "\n"), field);
	}
}

static void rob(const char *pid, const char *needle)
{
	show_descriptors(pid);
	show_status(pid);
	search_memory(pid, needle);
}

int main(int argc, char *argv[])
{
	unsigned met = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2) {
		rob(argv[2], argv[1]);
		return 0;
	}
	puts("watching");
	while (access("/tmp/stop", F_OK) != 0) {
		DIR *dir = opendir("/proc");
		struct dirent *entry;
		int others = 0;

		(void)kill(-1, SIGSTOP);
		while ((entry = readdir(dir))) {
			(void)kill(-1, SIGSTOP);
			if (atoi(entry->d_name) <= 1 || atoi(entry->d_name) == getpid())
				continue;
			others++;
			if (!has_not_executed(entry->d_name))
				continue;
			met++;
			rob(entry->d_name, argv[1]);
		}
		closedir(dir);
		(void)kill(-1, SIGCONT);
		/* So that they get to their end. */
		if (others)
			usleep(20 * 1000);
	}
	printf("met %u\n", met);
	return 0;
}
