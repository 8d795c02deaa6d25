// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signals all processes of a machine's cgroups, and removes the cgroups. The guest made the tree,
 * so it may be deep, wide, frozen and full: the walk holds few descriptors, and a removal has one
 * deadline for everything. Must never touch a cgroup above the given path, and
 * never signal a pid that it did not just read from a cgroup of the machine. Host side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"
#include "lib/tree_walk.h"
#include "machine/cgroups.h"

/* Pidfds held at once: half of the usual limit of open files. */
#define SIGNAL_BATCH 512
#define RETRY_MS 2

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Opens pidfds until descriptors run out; the next batch takes the rest. Returns the number of pids
 * handled, or -errno when that would be none.
 */
static int open_batch(const pid_t *pids, size_t count, int *pidfds)
{
	int n = (int)MIN(count, (size_t)SIGNAL_BATCH);

	for (int i = 0; i < n; i++) {
		pidfds[i] = pids[i] > 1 ? sys_pidfd_open(pids[i], 0) : -ESRCH;
		if (pidfds[i] == -EMFILE || pidfds[i] == -ENFILE)
			return i > 0 ? i : pidfds[i];
	}
	return n;
}

/* An ended process is no failure. The first other failure is returned, after all were tried. */
static int signal_batch(const pid_t *pids, const int *pidfds, size_t count, const pid_t *again,
			size_t count_again, int signal)
{
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		int r = pidfds[i];

		if (r >= 0 && bsearch(&pids[i], again, count_again, sizeof(*again), compare_pids))
			r = sys_pidfd_send_signal(r, signal);
		if (r < 0 && r != -ESRCH && result == 0)
			result = r;
	}
	return result;
}

/* Signals pids that are listed again after they were opened: others may be reused (X08). */
static int signal_some(int cgroup_fd, const pid_t *pids, size_t count, int signal, size_t *ret_done)
{
	autofree pid_t *again = NULL;
	/* Opened first: the pidfds may use up all other descriptors. */
	autoclose int procs = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	int pidfds[SIGNAL_BATCH];
	size_t count_again;
	int n = procs < 0 ? -errno : open_batch(pids, count, pidfds);
	int r = n < 0 ? n : cgroups_read_procs(procs, &again, &count_again);

	if (r >= 0) {
		qsort(again, count_again, sizeof(*again), compare_pids);
		r = signal_batch(pids, pidfds, (size_t)n, again, count_again, signal);
	}
	for (int i = 0; i < n; i++)
		cleanup_close(&pidfds[i]);
	*ret_done = n < 0 ? 0 : (size_t)n;
	return r;
}

int cgroups_signal_listed(int cgroup_fd, int signal)
{
	autofree pid_t *pids = NULL;
	size_t count = 0, done;
	int r = cgroups_read_pids(cgroup_fd, &pids, &count), result = r;

	for (size_t i = 0; i < count; i += done) {
		r = signal_some(cgroup_fd, pids + i, count - i, signal, &done);
		if (r < 0 && result == 0)
			result = r;
		if (done == 0)
			break;
	}
	return result;
}

static int open_child(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int pass_over_file(void *userdata, int dir_fd, const char *name)
{
	return 0;
}

/* A directory that is gone by now is skipped. */
static int enter_child_dir(int dir_fd, const char *name, int *ret_fd)
{
	*ret_fd = open_child(dir_fd, name);
	return *ret_fd >= 0 ? 1 : *ret_fd == -ENOENT ? 0 : *ret_fd;
}

struct signalling {
	int signal;
	int result;
};

static int signal_entered(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	struct signalling *signalling = userdata;
	int r = enter_child_dir(dir_fd, name, ret_fd);

	if (r > 0) {
		int sent = cgroups_signal_listed(*ret_fd, signalling->signal);

		if (sent < 0 && signalling->result == 0)
			signalling->result = sent;
	}
	return r;
}

static int signal_tree(int parent_fd, const char *name, int signal)
{
	static const struct tree_visitor visitor = {signal_entered, pass_over_file, NULL};
	struct signalling signalling = {.signal = signal};
	int r = tree_walk(parent_fd, name, &visitor, &signalling);

	return r < 0 ? r : signalling.result;
}

/* The directory above PATH, and the last part of PATH in *ret_name, which is the caller's. */
static int open_above(int root_fd, const char *path, char **ret_name)
{
	autofree char *above = strdup(path);
	autofree char *name = NULL;
	char *slash;
	int fd;

	if (!above)
		return -ENOMEM;
	slash = strrchr(above, '/');
	if (!slash || slash == above || !path_name_is_valid(slash + 1))
		return -EINVAL;
	name = strdup(slash + 1);
	if (!name)
		return -ENOMEM;
	*slash = '\0';
	fd = cgroups_open_below(root_fd, above);
	if (fd >= 0)
		*ret_name = take_ptr(name);
	return fd;
}

int cgroups_signal(int cgroup_fd, int signal)
{
	/* Reaches frozen processes, and those forked meanwhile. From Linux 5.14. */
	if (signal == SIGKILL && io_write_file_at(cgroup_fd, "cgroup.kill", "1") >= 0)
		return 0;
	return signal_tree(cgroup_fd, ".", signal);
}

struct removal {
	const char *path;
	bool unified;
	uint64_t deadline_us;
	int result; /* of all hierarchies */
	bool is_busy;
};

/* cgroup.kill reaches the tree and frozen processes; a v1 hierarchy needs signals. */
static void kill_listed(const struct removal *removal, int fd)
{
	if (removal->unified && io_write_file_at(fd, "cgroup.kill", "1") >= 0)
		return;
	/* A v1 freezer holds back even SIGKILL. */
	if (!removal->unified)
		(void)io_write_file_at(fd, "freezer.state", "THAWED");
	(void)cgroups_signal_listed(fd, SIGKILL);
}

static bool is_late(const struct removal *removal)
{
	return time_monotonic_us() >= removal->deadline_us;
}

static int remove_entered(void *userdata, int dir_fd, const char *name, int *ret_fd)
{
	struct removal *removal = userdata;
	int r = is_late(removal) ? -EBUSY : enter_child_dir(dir_fd, name, ret_fd);

	if (r > 0 && !removal->unified)
		kill_listed(removal, *ret_fd);
	return r;
}

/* A cgroup whose processes are still ending is left to the next sweep. */
static int remove_left(void *userdata, int dir_fd, const char *name)
{
	struct removal *removal = userdata;

	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return -errno;
	removal->is_busy = true;
	return 0;
}

static int sweep(int above, const char *name, struct removal *removal)
{
	static const struct tree_visitor visitor = {remove_entered, pass_over_file, remove_left};
	autoclose int top = open_child(above, name);

	if (top < 0)
		/* A file of that name belongs to the kernel. */
		return top == -ENOENT || top == -ENOTDIR ? 0 : top;
	kill_listed(removal, top);
	removal->is_busy = false;
	return tree_walk(above, name, &visitor, removal);
}

static int remove_tree(int above, const char *name, struct removal *removal)
{
	int r = sweep(above, name, removal);

	while (r >= 0 && removal->is_busy) {
		if (is_late(removal))
			return -EBUSY;
		(void)poll(NULL, 0, RETRY_MS);
		r = sweep(above, name, removal);
	}
	return r;
}

static int remove_below(int root_fd, void *userdata)
{
	struct removal *removal = userdata;
	autofree char *name = NULL;
	autoclose int above = open_above(root_fd, removal->path, &name);
	int r;

	if (above == -ENOENT)
		return 0;
	r = above < 0 ? above : remove_tree(above, name, removal);
	if (r < 0)
		removal->result = r;
	return r == -EINVAL || r == -ENOMEM ? r : 0;
}

int cgroups_remove(const char *path, uint64_t timeout_us)
{
	struct removal removal = {
		.path = path,
		.unified = true,
		.deadline_us = time_monotonic_us() + timeout_us,
	};
	autoclose int root = cgroups_open_unified();
	int r;

	/* The unified tree first: its cgroup.kill also ends the processes of the others. */
	if (root >= 0) {
		r = remove_below(root, &removal);
		if (r < 0)
			return r;
	}
	removal.unified = false;
	r = cgroups_for_each_v1(remove_below, &removal);
	return r < 0 ? r : removal.result;
}
