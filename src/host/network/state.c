/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One lock guards what machines share of the network, and the registry tells whose supervisor has
 * died. Quiet. Supervisor's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "host/network/network.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/lock.h"
#include "lib/machine_name.h"
#include "log/log.h"
#include "machine/registry.h"

int network_lock(int *ret_lock)
{
	int r = fs_make_dirs(NETWORK_DIR, 0755);
	autoclose int dir = -1;
	int lock;

	if (r < 0)
		return r;
	dir = open(NETWORK_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	lock = lock_wait_at(dir, "lock", false);
	if (lock < 0)
		return lock;
	*ret_lock = lock;
	return take_fd(&dir);
}

bool network_is_alive(const char *machine)
{
	char path[512];
	int n;

	if (!machine_name_is_valid(machine))
		return false;
	n = snprintf(path, sizeof(path), MACHINE_RUN_DIR "/%s/lock", machine);
	/* In doubt it is alive: nothing must be taken from a running machine. */
	return n >= (int)sizeof(path) || lock_is_held_at(AT_FDCWD, path) != 0;
}

int network_open_netns_of(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns a descriptor of the namespace we were in, for leave(). */
static int enter(int netns)
{
	autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0 || setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	return take_fd(&home);
}

/* Aborts on failure: nothing may run on in the machine's network. */
static void leave(int home)
{
	if (setns(home, CLONE_NEWNET) < 0) {
		(void)log_errno(-errno, "return to the network namespace of the host");
		abort();
	}
	(void)close(home);
}

int network_open_socket_in(int netns, int protocol)
{
	int home = enter(netns);
	int fd;

	if (home < 0)
		return home;
	fd = rtnl_open_protocol(protocol, 0);
	leave(home);
	return fd;
}

int network_write_in(int netns, const char *path, const char *text)
{
	int home = enter(netns);
	int r;

	if (home < 0)
		return home;
	r = io_write_file_at(AT_FDCWD, path, text);
	leave(home);
	return r;
}
