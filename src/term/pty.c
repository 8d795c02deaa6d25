// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A new pty of a devpts that somebody else controls. Must never open a device there by a name
 * alone: whoever owns /dev may change it (P06). Host side of clone().
 */
#include "term/pty.h"

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

#define PTMX_MAJOR 5
#define PTMX_MINOR 2
#define GROUP_TTY 5

/* The multiplexer of the devpts there, checked to be one before it is opened. */
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

int pty_open(int root_fd, uint32_t uid_shift, int *ret_master, int *ret_slave, unsigned *ret_number)
{
	autoclose int master = open_multiplexer(root_fd), slave = -1;
	int unlock = 0;

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, ret_number) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	/* The kernel gave it to our own user, whom the machine may not have. */
	if (fchown(slave, uid_shift, uid_shift + GROUP_TTY) < 0 || fchmod(slave, 0620) < 0)
		return -errno;
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}
