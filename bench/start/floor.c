/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor: what starting a program in namespaces of its own costs when nothing else is done. All
 * namespaces, user too, one uid map, the folder as root, a fresh /proc, execve.
 * It confines nothing.
 *
 *	floor DIR PROGRAM [ARGUMENT...]
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call)                                                                                \
	do {                                                                                       \
		if ((call) < 0) {                                                                  \
			perror(#call);                                                             \
			_exit(125);                                                                \
		}                                                                                  \
	} while (0)

static void child(int go, char *argv[])
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(125);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(mount(argv[1], argv[1], NULL, MS_BIND, NULL));
	CHECK(chdir(argv[1]));
	CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	CHECK(syscall(SYS_pivot_root, ".", "."));
	CHECK(umount2(".", MNT_DETACH));
	CHECK(execve(argv[2], argv + 2, (char *[]){"container=floor", NULL}));
}

static void map(pid_t pid, const char *file)
{
	static const char line[] = "0 1000000 65536\n";
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	CHECK(fd = open(path, O_WRONLY));
	CHECK(write(fd, line, strlen(line)));
	CHECK(close(fd));
}

int main(int argc, char *argv[])
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	int go[2], status;
	pid_t pid;

	if (argc < 3)
		return 2;
	args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		     CLONE_NEWNET | CLONE_NEWCGROUP;
	CHECK(pipe2(go, O_CLOEXEC));
	CHECK(pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0)
		child(go[0], argv);
	map(pid, "uid_map");
	map(pid, "gid_map");
	CHECK(write(go[1], "", 1));
	CHECK(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
