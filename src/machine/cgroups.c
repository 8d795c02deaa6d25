// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A machine's cgroups from outside. Must never touch a cgroup above the given path, and never
 * signal a pid that it did not just read from a cgroup of the machine. Host side of clone().
 */
#include "machine/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/time.h"

#define PROCS_MAX_BYTES (4 * 1024 * 1024)
#define KILL_TIMEOUT_US (5 * USEC_PER_SEC)
#define DEPTH_MAX 64

/* Where nearly all hosts show it: alone, and beside v1 hierarchies. Others are looked for. */
static const char *const usual_places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

static int open_cgroup2(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == CGROUP2_SUPER_MAGIC ? take_fd(&fd) : -ENOENT;
}

/* Undoes the octal escapes of /proc/self/mountinfo, in place. */
static void unescape_octal(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu": the mount point of such a line. */
static char *mount_point(char *line, const char *type)
{
	char *kind = strstr(line, " - "), *saved = NULL, *word;
	const char *rest = kind ? str_after_prefix(kind + strlen(" - "), type) : NULL;

	if (!rest || *rest != ' ')
		return NULL;
	*kind = '\0';
	word = strtok_r(line, " ", &saved);
	for (int i = 0; word && i < 4; i++) {
		/* A part of a hierarchy, mounted by itself, would have other paths. */
		if (i == 3 && !streq(word, "/"))
			return NULL;
		word = strtok_r(NULL, " ", &saved);
	}
	if (word)
		unescape_octal(word);
	return word;
}

/* Calls fn with each mount point of the type; a negative return ends it. */
static int for_each_mount(const char *type, int (*fn)(const char *path, void *userdata),
			  void *userdata)
{
	autofree char *text = NULL;
	char *line, *saved = NULL;
	int r = io_read_file_at(AT_FDCWD, "/proc/self/mountinfo", PROCS_MAX_BYTES, &text, NULL);

	for (line = r < 0 ? NULL : strtok_r(text, "\n", &saved); line && r >= 0;
	     line = strtok_r(NULL, "\n", &saved)) {
		char *point = mount_point(line, type);

		r = point ? fn(point, userdata) : 0;
	}
	return r;
}

static int take_first(const char *path, void *userdata)
{
	int *ret = userdata;

	if (*ret < 0)
		*ret = open_cgroup2(path);
	return 0;
}

static int open_mounted(void)
{
	int fd = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(usual_places) && fd < 0; i++)
		fd = open_cgroup2(usual_places[i]);
	if (fd < 0)
		(void)for_each_mount("cgroup2", take_first, &fd);
	return fd;
}

/*
 * Only where nobody has mounted it: mounting it anew sets the flags of all its mounts, and takes
 * 10 ms and more.
 */
static int mount_private(void)
{
	autoclose int fs = sys_fsopen("cgroup2", FSOPEN_CLOEXEC);
	int r;

	if (fs < 0)
		return fs;
	r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "nsdelegate", NULL, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r < 0)
		return r;
	return sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

int cgroups_open_unified(void)
{
	int fd = open_mounted();

	return fd >= 0 ? fd : mount_private();
}

struct v1_call {
	cgroups_v1_fn fn;
	void *userdata;
};

static int call_v1(const char *path, void *userdata)
{
	const struct v1_call *call = userdata;
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : call->fn(fd, call->userdata);
}

int cgroups_for_each_v1(cgroups_v1_fn fn, void *userdata)
{
	struct v1_call call = {.fn = fn, .userdata = userdata};

	return for_each_mount("cgroup", call_v1, &call);
}

static int open_below(int root_fd, const char *path)
{
	while (*path == '/')
		path++;
	if (*path == '\0')
		return -EINVAL; /* never the root itself */
	return path_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY);
}

int cgroups_open_enter(const char *path)
{
	autoclose int root = cgroups_open_unified(), machine = -1;
	int fd;

	if (root < 0)
		return root;
	machine = open_below(root, path);
	if (machine < 0)
		return machine;
	if (mkdirat(machine, "enter", 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(machine, "enter", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

struct joining {
	const char *path;
	char pid[16];
};

static int join_v1(int root_fd, void *userdata)
{
	const struct joining *joining = userdata;
	autoclose int fd = open_below(root_fd, joining->path);

	if (fd == -ENOENT)
		return 0;
	return fd < 0 ? fd : io_write_file_at(fd, "cgroup.procs", joining->pid);
}

int cgroups_join_v1(const char *path, pid_t pid)
{
	struct joining joining = {.path = path};

	(void)snprintf(joining.pid, sizeof(joining.pid), "%d", pid);
	return cgroups_for_each_v1(join_v1, &joining);
}

int cgroups_open(const char *path)
{
	autoclose int root = cgroups_open_unified();

	return root < 0 ? root : open_below(root, path);
}

int cgroups_read_pids(int cgroup_fd, pid_t **ret, size_t *ret_count)
{
	autofree pid_t *pids = NULL;
	autofree char *text = NULL;
	char *line, *saved = NULL;
	size_t count = 0, size;
	int r = io_read_file_at(cgroup_fd, "cgroup.procs", PROCS_MAX_BYTES, &text, &size);

	/* A threaded cgroup lists no processes, and one that was just removed none any more. */
	if (r == -ENODEV || r == -EOPNOTSUPP)
		size = 0;
	else if (r < 0)
		return r;
	pids = calloc(size / 2 + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	for (line = size > 0 ? strtok_r(text, "\n", &saved) : NULL; line;
	     line = strtok_r(NULL, "\n", &saved))
		count += parse_i32(line, &pids[count]) >= 0;
	*ret = take_ptr(pids);
	*ret_count = count;
	return 0;
}

/* Listed, opened, and still in the cgroup: else the pid may be another process by now (X08). */
static int signal_listed(int cgroup_fd, int signal)
{
	autofree pid_t *pids = NULL, *again = NULL;
	autofree int *pidfds = NULL;
	size_t count, count_again;
	int r = cgroups_read_pids(cgroup_fd, &pids, &count);

	if (r < 0)
		return r;
	pidfds = calloc(count + 1, sizeof(*pidfds));
	if (!pidfds)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		pidfds[i] = pids[i] > 1 ? sys_pidfd_open(pids[i], 0) : -1;
	r = cgroups_read_pids(cgroup_fd, &again, &count_again);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; r >= 0 && pidfds[i] >= 0 && k < count_again; k++) {
			if (again[k] == pids[i])
				(void)sys_pidfd_send_signal(pidfds[i], signal);
		}
		cleanup_close(&pidfds[i]);
	}
	return r;
}

static int signal_tree(int cgroup_fd, int signal, unsigned depth)
{
	struct dirent *entry;
	DIR *dir;
	int r = signal_listed(cgroup_fd, signal);

	dir = r < 0 ? NULL : fdopendir(dup(cgroup_fd));
	while (dir && depth < DEPTH_MAX && (entry = readdir(dir))) {
		autoclose int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(cgroup_fd, entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child >= 0)
			(void)signal_tree(child, signal, depth + 1);
	}
	if (dir)
		(void)closedir(dir);
	return r;
}

int cgroups_signal(int cgroup_fd, int signal)
{
	return signal_tree(cgroup_fd, signal, 0);
}

static int remove_one(int parent_fd, const char *name, bool unified)
{
	uint64_t end = time_monotonic_us() + KILL_TIMEOUT_US;

	for (;;) {
		autoclose int fd = -1;

		if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		if (time_monotonic_us() > end)
			return -EBUSY;
		fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return errno == ENOENT ? 0 : -errno;
		if (!unified || io_write_file_at(fd, "cgroup.kill", "1") < 0)
			(void)signal_listed(fd, SIGKILL);
		(void)poll(NULL, 0, 2);
	}
}

/* Children first. cgroup names are made by the guest: they are only ever used below their parent.*/
static int remove_tree(int parent_fd, const char *name, bool unified, unsigned depth)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (unified)
		(void)io_write_file_at(fd, "cgroup.kill", "1");
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (depth < DEPTH_MAX && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)remove_tree(dirfd(dir), entry->d_name, unified, depth + 1);
	}
	(void)closedir(dir);
	return remove_one(parent_fd, name, unified);
}

struct removal {
	const char *path;
	bool unified;
	int result;
};

static int remove_below(int root_fd, void *userdata)
{
	struct removal *removal = userdata;
	autofree char *path = strdup(removal->path);
	autoclose int parent = -1;
	char *name;
	int r;

	if (!path)
		return -ENOMEM;
	name = strrchr(path, '/');
	if (!name || name == path || !path_name_is_valid(name + 1))
		return -EINVAL;
	*name++ = '\0';
	parent = open_below(root_fd, path);
	if (parent == -ENOENT)
		return 0;
	r = parent < 0 ? parent : remove_tree(parent, name, removal->unified, 0);
	if (r < 0)
		removal->result = r;
	return 0;
}

int cgroups_remove(const char *path)
{
	struct removal removal = {.path = path, .unified = true};
	autoclose int root = cgroups_open_unified();
	int r;

	/* The unified tree first: its cgroup.kill ends also what the others list. */
	if (root >= 0) {
		r = remove_below(root, &removal);
		if (r < 0)
			return r;
	}
	removal.unified = false;
	r = cgroups_for_each_v1(remove_below, &removal);
	return r < 0 ? r : removal.result;
}
