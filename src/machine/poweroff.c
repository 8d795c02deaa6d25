// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Detects a machine's init and asks it to stop. Must never run a program of the machine, follow a
 * path out of its root, or block on a file that it made. Host side of clone().
 */
#include "machine/poweroff.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "machine/leader.h"
#include "machine/registry.h"

#define FIFO_TRIES 10
#define FIFO_PAUSE_US 5000
/* Capabilities that override permissions and owners of files, see capabilities(7). */
#define RIGHTS_ON_FILES                                                                            \
	(1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | \
	 1U << CAP_FSETID | 1U << CAP_LINUX_IMMUTABLE | 1U << CAP_MKNOD)

struct asking {
	const struct machine_state *machine;
	const struct leader *leader;
	int root_fd;
	enum machine_ask ask;
};

static uint32_t root_of(const struct machine_state *machine)
{
	return machine->uid_range > 0 ? machine->uid_shift : 0;
}

/*
 * Takes the file permissions of the machine's root before a file of the machine is written: the
 * machine may have put a file of the host's, or a fifo, at that path. Can't be undone; the process
 * does nothing else. Without a user namespace the machine's root is the host's, and only the
 * capabilities over files of others go.
 */
static int take_rights_of_root(const struct machine_state *machine)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	(void)setfsgid(root_of(machine));
	(void)setfsuid(root_of(machine));
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective &= ~RIGHTS_ON_FILES;
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	/* With sysctl fs.suid_dumpable, a change of ids makes the process traceable (X03). */
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

/*
 * Opens a path of the machine after a check of its type: opening a device may have side effects.
 * The descriptor or -errno, -ENXIO for another type.
 */
static int open_checked(int root_fd, const char *path, mode_t type, struct stat *ret)
{
	autoclose int found = path_open_in_root(root_fd, path, O_PATH);
	char self[32];
	int fd;

	if (found < 0)
		return found;
	if (fstat(found, ret) < 0 || (ret->st_mode & S_IFMT) != type)
		return -ENXIO;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* A fifo without a reader gives ENXIO. */
	return fd >= 0 ? fd : errno == ENXIO ? -EAGAIN : -errno;
}

/* Tries several times: OpenRC reopens its fifo for each command, with no reader in between. */
static int write_fifo(const struct asking *a, const char *path, const void *data, size_t size)
{
	for (int i = 0; i < FIFO_TRIES; i++) {
		struct stat st;
		autoclose int fd = open_checked(a->root_fd, path, S_IFIFO, &st);

		if (fd == -EAGAIN) {
			(void)usleep(FIFO_PAUSE_US);
			continue;
		}
		if (fd < 0)
			return fd;
		return write(fd, data, size) == (ssize_t)size ? 0 : -EAGAIN;
	}
	return -EAGAIN;
}

static int ask_systemd(const struct asking *a)
{
	/* systemd(1), SIGNALS: the units poweroff.target and reboot.target, as systemctl does. */
	int signal = a->ask == MACHINE_ASK_REBOOT ? SIGRTMIN + 5 : SIGRTMIN + 4;

	return leader_send_signal(a->leader, signal);
}

static int ask_busybox(const struct asking *a)
{
	/* busybox init/halt.c: halt USR1, poweroff USR2, reboot TERM. */
	return leader_send_signal(a->leader, a->ask == MACHINE_ASK_REBOOT ? SIGTERM : SIGUSR2);
}

static int ask_openrc(const struct asking *a)
{
	const char *word = a->ask == MACHINE_ASK_REBOOT ? "reboot" : "poweroff";

	return write_fifo(a, "/run/openrc/init.ctl", word, strlen(word));
}

static int ask_sysvinit(const struct asking *a)
{
	/* initreq.h of sysvinit: the request that telinit(8) writes. */
	struct {
		int magic, command, runlevel, sleep_time;
		char data[368];
	} request = {
		.magic = 0x03091969,
		.command = 1,
		.runlevel = a->ask == MACHINE_ASK_REBOOT ? '6' : '0',
	};
	int r = write_fifo(a, "/run/initctl", &request, sizeof(request));

	return r == -ENOENT ? write_fifo(a, "/dev/initctl", &request, sizeof(request)) : r;
}

static int set_flag(const struct asking *a, const char *path, bool on)
{
	uint32_t owner = root_of(a->machine);
	char *name;
	autoclose int dir =
		path_open_parent_in_root(a->root_fd, path, false, (struct path_making){}, &name);
	autoclose int fd = -1;
	char self[32];
	struct stat st;

	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFREG | 0, 0) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* By a hard link or a mount it may be a file of the host's that is bound inside. */
	if (!S_ISREG(st.st_mode) || st.st_uid != owner || st.st_nlink != 1)
		return -EPERM;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return chmod(self, on ? 0100 : 0) < 0 ? -errno : 0;
}

/* runit's flags are executable bits of files. */
static int ask_runit(const struct asking *a)
{
	/* runit-init(8); Debian has moved the two files to /run. */
	static const char *const places[][2] = {{"/etc/runit/stopit", "/etc/runit/reboot"},
						{"/run/runit.stopit", "/run/runit.reboot"}};
	autoclose int known = path_open_in_root(a->root_fd, places[0][0], O_PATH);
	const char *const *place = places[known >= 0 ? 0 : 1];
	int r = set_flag(a, place[1], a->ask == MACHINE_ASK_REBOOT);

	if (r >= 0)
		r = set_flag(a, place[0], true);
	return r < 0 ? r : sys_pidfd_send_signal(a->leader->pidfd, SIGCONT);
}

static const struct init_kind {
	const char *program; /* last component of /proc/PID/exe */
	const char *fifo;    /* must exist too, or NULL */
	int (*ask)(const struct asking *a);
} kinds[MACHINE_INIT_COUNT] = {
	[MACHINE_INIT_UNKNOWN] = {NULL, NULL, NULL},
	[MACHINE_INIT_SYSTEMD] = {"systemd", NULL, ask_systemd},
	[MACHINE_INIT_BUSYBOX] = {"busybox", NULL, ask_busybox},
	[MACHINE_INIT_OPENRC] = {"openrc-init", NULL, ask_openrc},
	[MACHINE_INIT_SYSVINIT] = {"init", "/run/initctl", ask_sysvinit},
	[MACHINE_INIT_RUNIT] = {"runit", NULL, ask_runit},
};

static bool is_fifo(int root_fd, const char *path)
{
	autoclose int fd = path_open_in_root(root_fd, path, O_PATH);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int detect(const struct leader *leader, int root_fd, enum machine_init *ret)
{
	char exe[PATH_MAX];
	ssize_t n = readlinkat(leader->proc_fd, "exe", exe, sizeof(exe) - 1);
	char *deleted;

	if (n < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	exe[n] = '\0';
	/* An upgrade has replaced the file. */
	deleted = str_has_suffix(exe, " (deleted)") ? exe + n - strlen(" (deleted)") : NULL;
	if (deleted)
		*deleted = '\0';
	*ret = MACHINE_INIT_UNKNOWN;
	for (size_t i = 1; i < ARRAY_SIZE(kinds); i++) {
		if (streq(path_last(exe), kinds[i].program) &&
		    (!kinds[i].fifo || is_fifo(root_fd, kinds[i].fifo)))
			*ret = (enum machine_init)i;
	}
	return 0;
}

int machine_detect_init(const struct machine_state *machine, enum machine_init *ret)
{
	autoleader struct leader leader = {};
	autoclose int root = -1;
	int r = leader_open(machine, &leader);

	if (r < 0)
		return r;
	root = leader_open_root(&leader);
	return root < 0 ? root : detect(&leader, root, ret);
}

int machine_ask_stop(const struct machine_state *machine, enum machine_ask ask)
{
	autoleader struct leader leader = {};
	struct asking asking = {.machine = machine, .leader = &leader, .ask = ask};
	autoclose int root = -1;
	enum machine_init init;
	int r = leader_open(machine, &leader);

	if (r < 0)
		return r;
	root = leader_open_root(&leader);
	if (root < 0)
		return root;
	r = detect(&leader, root, &init);
	if (r < 0)
		return r;
	if (!kinds[init].ask)
		return -EOPNOTSUPP;
	asking.root_fd = root;
	r = take_rights_of_root(machine);
	return r < 0 ? r : kinds[init].ask(&asking);
}
