/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* K01, K02, K04: everything that root of a user namespace made inside can try. Prints only what
 * must not succeed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int r = fd < 0 ? -1 : (int)write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return r < 0 ? -1 : 0;
}

/* Writes the value that is there already: no harm to the host if the write succeeds. */
static int put_back(const char *path)
{
	char text[512] = "\n";
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 1] = '\0';
	if (fd >= 0)
		close(fd);
	return put(path, text);
}

static void hold(const char *what, int r)
{
	if (r >= 0)
		printf("could %s\n", what);
}

static void try_v1(void)
{
	static const char *const names[] = {"memory", "pids",	"devices",     "freezer",
					    "blkio",  "cpuset", "name=systemd"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (mount("cgroup", "/tmp/in", "cgroup", 0, names[i]) < 0)
			continue;
		hold("write a limit", put_back("/tmp/in/memory.limit_in_bytes"));
		hold("write a limit", put_back("/tmp/in/pids.max"));
		hold("move processes", open("/tmp/in/cgroup.procs", O_WRONLY));
		hold("write release_agent", put_back("/tmp/in/release_agent"));
		hold("open the device filter", put("/tmp/in/devices.allow", "a *:* rwm"));
		umount2("/tmp/in", MNT_DETACH);
	}
}

static void try_api(void)
{
	hold("remount /proc/sys", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	hold("remount /sys", mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	hold("uncover /proc/sys", umount2("/proc/sys", 0));
	hold("uncover /proc/kcore", umount2("/proc/kcore", 0));
	hold("uncover /proc/keys", umount2("/proc/keys", 0));
	hold("uncover /dev", umount2("/dev", MNT_DETACH));
	hold("uncover /run/host", umount2("/run/host", MNT_DETACH));
	hold("write core_pattern", put_back("/proc/sys/kernel/core_pattern"));
	hold("open sysrq-trigger", open("/proc/sysrq-trigger", O_WRONLY));
}

int main(void)
{
	mkdir("/tmp/in", 0755);
	try_v1();
	if (unshare(CLONE_NEWUSER) == 0) {
		put("/proc/self/setgroups", "deny");
		put("/proc/self/uid_map", "0 0 1");
		put("/proc/self/gid_map", "0 0 1");
		if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
			puts("no namespaces of its own");
		try_v1();
		try_api();
	}
	puts("end");
	return 0;
}
