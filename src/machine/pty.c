// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A new pty in a machine. Must never open a device of the machine's by a name alone: its /dev is
 * the machine's to change (P06). Host side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "lib/fd.h"
#include "lib/path.h"
#include "machine/enter.h"
#include "machine/leader.h"
#include "machine/registry.h"

#define PTMX_MAJOR 5
#define PTMX_MINOR 2
#define GROUP_TTY 5

/* The multiplexer of the machine's devpts, proven to be one before it is opened. */
static int open_multiplexer(int root_fd)
{
	autoclose int path = path_open_in_root(root_fd, "/dev/pts/ptmx", O_PATH);
	char name[32];
	struct statfs fs;
	struct stat st;
	int fd;

	if (path < 0)
		return path;
	if (fstatfs(path, &fs) < 0 || fstat(path, &st) < 0)
		return -errno;
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR))
		return -ENXIO;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int machine_open_pty(const struct machine_state *machine, int *ret_master, int *ret_slave,
		     unsigned *ret_number)
{
	uint32_t shift = machine->uid_range > 0 ? machine->uid_shift : 0;
	autoclose int root = -1, master = -1, slave = -1;
	autoleader struct leader leader = {};
	int unlock = 0, r;

	r = leader_open(machine, &leader);
	if (r < 0)
		return r;
	root = leader_open_root(&leader);
	if (root < 0)
		return root;
	master = open_multiplexer(root);
	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, ret_number) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	/* Made by an id of the host's, which the machine could neither use nor change. */
	if (fchown(slave, shift, shift + GROUP_TTY) < 0 || fchmod(slave, 0620) < 0)
		return -errno;
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}
