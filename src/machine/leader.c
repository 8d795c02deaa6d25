// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads a machine's PID 1 through /proc. Must never use a bare pid (X08). Host side of clone(). */
#include "machine/leader.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "machine/registry.h"

#define PROC_MAX_BYTES (256 * 1024)

void leader_close(struct leader *leader)
{
	if (leader->pid == 0)
		return;
	cleanup_close(&leader->pidfd);
	cleanup_close(&leader->proc_fd);
	*leader = (struct leader){};
}

int leader_open(const struct machine_state *state, struct leader *ret)
{
	autoclose int pidfd = machine_open_leader(state), proc = -1;
	char path[32];
	int r;

	if (pidfd < 0)
		return pidfd;
	(void)snprintf(path, sizeof(path), "/proc/%d", state->leader);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* Alive after the directory was opened: the directory belongs to that process. */
	r = sys_pidfd_send_signal(pidfd, 0);
	if (r < 0)
		return r;
	*ret = (struct leader){
		.pid = state->leader, .pidfd = take_fd(&pidfd), .proc_fd = take_fd(&proc)};
	return 0;
}

int leader_open_root(const struct leader *leader)
{
	int fd = openat(leader->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int leader_namespaces(const struct leader *leader, int *ret_flags)
{
	static const struct {
		const char *path;
		int flag;
	} kinds[] = {
		{"ns/user", CLONE_NEWUSER},	{"ns/pid", CLONE_NEWPID},
		{"ns/mnt", CLONE_NEWNS},	{"ns/net", CLONE_NEWNET},
		{"ns/ipc", CLONE_NEWIPC},	{"ns/uts", CLONE_NEWUTS},
		{"ns/cgroup", CLONE_NEWCGROUP}, {"ns/time", CLONE_NEWTIME},
	};
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int flags = 0;

	if (self < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct stat theirs, ours;

		if (fstatat(self, kinds[i].path, &ours, 0) < 0)
			continue; /* a kernel without that kind */
		if (fstatat(leader->proc_fd, kinds[i].path, &theirs, 0) < 0)
			return errno == ENOENT ? -ESRCH : -errno;
		if (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev)
			flags |= kinds[i].flag;
	}
	*ret_flags = flags;
	return 0;
}

static const char *status_field(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? p + strlen(name) : NULL;
}

static bool hears_signal(const struct leader *leader, int signal)
{
	static const char *const names[] = {"\nSigCgt:\t", "\nSigBlk:\t"};
	autofree char *status = NULL;

	if (signal == SIGKILL || signal == SIGSTOP)
		return true;
	/* Unknown: a signal sent twice does less harm than one that was lost. */
	if (io_read_file_at(leader->proc_fd, "status", PROC_MAX_BYTES, &status, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *mask = status_field(status, names[i]);

		if (mask && (strtoull(mask, NULL, 16) >> (signal - 1)) & 1)
			return true;
	}
	return false;
}

int leader_send_signal(const struct leader *leader, int signal)
{
	bool is_heard = hears_signal(leader, signal);
	int r = sys_pidfd_send_signal(leader->pidfd, signal);

	return r < 0 ? r : !is_heard;
}

int leader_read_confinement(const struct leader *leader, struct leader_confinement *ret)
{
	autofree char *status = NULL, *personality = NULL;
	const char *bounding, *no_new;
	int r;

	r = io_read_file_at(leader->proc_fd, "status", PROC_MAX_BYTES, &status, NULL);
	if (r < 0)
		return r;
	/* The kernel escapes newlines in the name on the first line: no field can be faked. */
	bounding = status_field(status, "\nCapBnd:\t");
	no_new = status_field(status, "\nNoNewPrivs:\t");
	if (!bounding)
		return -EBADMSG;
	r = io_read_file_at(leader->proc_fd, "personality", 64, &personality, NULL);
	*ret = (struct leader_confinement){
		.caps_bounding = strtoull(bounding, NULL, 16),
		.no_new_privileges = no_new && *no_new == '1',
		.personality = r < 0 ? 0 : strtoul(personality, NULL, 16),
	};
	return 0;
}

/* Parses a number or "unlimited"; returns its end, or NULL. */
static const char *parse_limit(const char *text, rlim_t *ret)
{
	const char *after = str_after_prefix(text, "unlimited");
	char *end;

	*ret = after ? RLIM_INFINITY : strtoull(text, &end, 10);
	return after ? after : end > text ? end : NULL;
}

int leader_read_limits(const struct leader *leader, struct rlimit ret[RLIM_NLIMITS])
{
	/* Width of the column before the limits. Source: fs/proc/base.c, proc_pid_limits(). */
	static const size_t name_width = 26;
	struct rlimit limits[RLIM_NLIMITS];
	autofree char *text = NULL;
	int r = io_read_file_at(leader->proc_fd, "limits", PROC_MAX_BYTES, &text, NULL);
	const char *line = text;

	if (r < 0)
		return r;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		const char *soft, *hard;

		line = strchr(line, '\n');
		if (!line || strlen(++line) < name_width)
			return -EBADMSG;
		soft = line + name_width;
		hard = parse_limit(soft, &limits[i].rlim_cur);
		if (!hard || !parse_limit(hard + strspn(hard, " "), &limits[i].rlim_max))
			return -EBADMSG;
	}
	memcpy(ret, limits, sizeof(limits));
	return 0;
}

char *leader_getenv(const struct leader *leader, const char *name)
{
	autofree char *environment = NULL;
	size_t size;

	if (io_read_file_at(leader->proc_fd, "environ", PROC_MAX_BYTES, &environment, &size) < 0)
		return NULL;
	for (size_t i = 0; i < size; i += strlen(environment + i) + 1) {
		const char *value = str_after_prefix(environment + i, name);

		if (value && *value == '=')
			return strdup(value + 1);
	}
	return NULL;
}
