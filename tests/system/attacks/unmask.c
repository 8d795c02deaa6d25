/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * K12: takes away, moves, copies, remounts and mounts anew whatever could show more of the host's
 * /proc and /sys, also in namespaces made inside. Prints only what must not succeed. With the
 * argument "shifted" users are shifted, and a newly mounted procfs or sysfs is no failure:
 * what it shows belongs to no user of the machine.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define API (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const char *const covers[] = {
	"/proc/sys",	    "/proc/irq",      "/proc/bus",	     "/proc/fs",
	"/proc/kcore",	    "/proc/kallsyms", "/proc/keys",	     "/sys",
	"/proc/timer_list", "/sys/firmware",  "/proc/sysrq-trigger", "/proc/vmallocinfo",
};
static int is_shifted;
static const char *where = "";

static void hold(const char *what, const char *path, int r)
{
	if (r >= 0)
		printf("%scould %s %s\n", where, what, path);
}

/* Only opens it: no harm to the host if that succeeds. */
static void look(const char *root, const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, flags);
	hold("open", path, fd);
	if (fd >= 0)
		close(fd);
}

/* What the kernel itself allows to root of the host. */
static void look_at_proc(const char *root)
{
	static const char *const writable[] = {
		"sys/kernel/core_pattern", "sys/kernel/modprobe",
		"sys/vm/drop_caches",	   "sys/fs/file-max",
		"sysrq-trigger",	   "irq/default_smp_affinity",
		"dynamic_debug/control",   "mtrr",
	};
	static const char *const readable[] = {"kcore", "kpageflags", "vmallocinfo", "slabinfo"};

	for (size_t i = 0; i < sizeof(writable) / sizeof(*writable); i++)
		look(root, writable[i], O_WRONLY);
	if (!is_shifted)
		look(root, "sys/net/netfilter/nf_hooks_lwtunnel", O_WRONLY);
	for (size_t i = 0; i < sizeof(readable) / sizeof(*readable); i++) {
		char path[256], byte;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", root, readable[i]);
		fd = open(path, O_RDONLY);
		hold("read", path, fd < 0 || read(fd, &byte, 1) <= 0 ? -1 : 0);
		if (fd >= 0)
			close(fd);
	}
}

static void look_at_sys(const char *root)
{
	look(root, "kernel/uevent_helper", O_WRONLY);
	look(root, "kernel/mm/transparent_hugepage/enabled", O_WRONLY);
	look(root, "power/state", O_WRONLY);
	look(root, "module/printk/parameters/time", O_WRONLY);
}

static void uncover(void)
{
	for (size_t i = 0; i < sizeof(covers) / sizeof(*covers); i++) {
		const char *path = covers[i];

		if (access(path, F_OK) < 0)
			continue;
		hold("unmount", path, umount2(path, 0));
		hold("detach", path, umount2(path, MNT_DETACH));
		hold("move", path, mount(path, "/tmp/in", NULL, MS_MOVE, NULL));
		hold("remount", path, mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | API, NULL));
		hold("remount", path, mount(NULL, path, NULL, MS_REMOUNT | API, NULL));
	}
	hold("detach", "/proc", umount2("/proc", MNT_DETACH));
	hold("move", "/proc", mount("/proc", "/tmp/in", NULL, MS_MOVE, NULL));
}

static void copy(void)
{
	hold("bind without its masks", "/proc", mount("/proc", "/tmp/in", NULL, MS_BIND, NULL));
	hold("clone without its masks", "/proc",
	     (int)syscall(SYS_open_tree, AT_FDCWD, "/proc", 1 /* OPEN_TREE_CLONE */));
	hold("bind without its mounts", "/", mount("/", "/tmp/in", NULL, MS_BIND, NULL));
	if (mount("/proc", "/tmp/in", NULL, MS_BIND | MS_REC, NULL) == 0) {
		hold("unmount", "/tmp/in/sys", umount2("/tmp/in/sys", MNT_DETACH));
		hold("unmount", "/tmp/in/kcore", umount2("/tmp/in/kcore", MNT_DETACH));
		hold("remount", "/tmp/in/sys",
		     mount(NULL, "/tmp/in/sys", NULL, MS_REMOUNT | MS_BIND | API, NULL));
		look_at_proc("/tmp/in");
		umount2("/tmp/in", MNT_DETACH);
	}
	if (mount("/proc/sys", "/tmp/in", NULL, MS_BIND | MS_REC, NULL) == 0) {
		hold("remount", "/tmp/in",
		     mount(NULL, "/tmp/in", NULL, MS_REMOUNT | MS_BIND | API, NULL));
		look("/tmp/in", "kernel/core_pattern", O_WRONLY);
		umount2("/tmp/in", MNT_DETACH);
	}
}

static void mount_anew(void)
{
	static const struct {
		const char *type;
		unsigned long flags;
	} all[] = {{"proc", 0}, {"proc", MS_RDONLY}, {"sysfs", 0}, {"sysfs", MS_RDONLY}};
	static const char *const groups[] = {"freezer", "memory", "none,name=systemd",
					     "none,name=new"};
	struct stat old, new;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (mount("x", "/tmp/in", all[i].type, API | all[i].flags, NULL) < 0)
			continue;
		if (!is_shifted)
			hold("mount anew", all[i].type, 0);
		look_at_proc("/tmp/in");
		look_at_sys("/tmp/in");
		umount2("/tmp/in", MNT_DETACH);
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups) && !is_shifted; i++) {
		hold("mount anew", groups[i], mount("x", "/tmp/in", "cgroup", API, groups[i]));
		umount2("/tmp/in", MNT_DETACH);
	}
	/* The root of a mountable hierarchy is that of the machine, or of a namespace in it. */
	if (mount("x", "/tmp/in", "cgroup2", API, NULL) == 0) {
		if (!is_shifted || stat("/tmp/in", &new) < 0 || stat("/sys/fs/cgroup", &old) < 0 ||
		    (new.st_ino < old.st_ino))
			hold("see groups above", "its own", 0);
		umount2("/tmp/in", MNT_DETACH);
	}
}

static void try_all(const char *place)
{
	where = place;
	look_at_proc("/proc");
	look_at_sys("/sys");
	uncover();
	copy();
	mount_anew();
	look_at_proc("/proc");
	look_at_sys("/sys");
	fflush(stdout);
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int r = fd < 0 ? -1 : (int)write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return r;
}

static void try_in(const char *place, int flags)
{
	pid_t pid = fork();

	if (pid == 0) {
		/* If root is root of the host, it may not make cgroup namespaces. */
		if (unshare(flags) < 0 && unshare(flags & ~CLONE_NEWCGROUP) < 0)
			_exit(0);
		if (flags & CLONE_NEWUSER) {
			put("/proc/self/setgroups", "deny");
			put("/proc/self/uid_map", "0 0 1");
			put("/proc/self/gid_map", "0 0 1");
		}
		/* The first process of the PID namespace: it may mount a procfs. */
		pid = fork();
		if (pid == 0)
			try_all(place);
		else
			waitpid(pid, NULL, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char *argv[])
{
	is_shifted = argc > 1 && strcmp(argv[1], "shifted") == 0;
	mkdir("/tmp/in", 0755);
	try_all("");
	try_in("with its own mounts: ", CLONE_NEWNS);
	try_in("with its own processes: ", CLONE_NEWNS | CLONE_NEWPID);
	try_in("with its own network: ",
	       CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWCGROUP);
	try_in("with its own users: ", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
					       CLONE_NEWCGROUP | CLONE_NEWIPC);
	puts("end");
	return 0;
}
