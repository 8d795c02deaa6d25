// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds and opens a machine's cgroups; cgroups_end.c kills and removes them. Must never touch a
 * cgroup above the given path. Host side of clone().
 */
#include "machine/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
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

#define PROCS_MAX_BYTES (4 * 1024 * 1024)

/* The usual mount points, alone and next to v1 hierarchies. Others are searched for. */
static const char *const usual_places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

char *cgroups_path_of(const char *machine, const char *below)
{
	return str_printf("/" CGROUPS_PARENT "/%s%s", machine, below);
}

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

/*
 * "31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu": the mount point of such a line, and
 * the options of its file system, which name the controllers.
 */
static char *mount_point(char *line, const char *type, const char **ret_options)
{
	char *kind = strstr(line, " - "), *saved = NULL, *word;
	const char *rest = kind ? str_after_prefix(kind + strlen(" - "), type) : NULL;

	if (!rest || *rest != ' ')
		return NULL;
	*ret_options = strrchr(rest, ' ') + 1;
	*kind = '\0';
	word = strtok_r(line, " ", &saved);
	for (int i = 0; word && i < 4; i++) {
		/* Skip a mount of a part of a hierarchy: paths differ there. */
		if (i == 3 && !streq(word, "/"))
			return NULL;
		word = strtok_r(NULL, " ", &saved);
	}
	if (word)
		unescape_octal(word);
	return word;
}

typedef int (*mount_fn)(const char *path, const char *options, void *userdata);

/* Calls fn with each mount point of the type; a negative return ends it. */
static int for_each_mount(const char *type, mount_fn fn, void *userdata)
{
	autofree char *text = NULL;
	char *line, *saved = NULL;
	int r = io_read_file_at(AT_FDCWD, "/proc/self/mountinfo", PROCS_MAX_BYTES, &text, NULL);

	for (line = r < 0 ? NULL : strtok_r(text, "\n", &saved); line && r >= 0;
	     line = strtok_r(NULL, "\n", &saved)) {
		const char *options;
		char *point = mount_point(line, type, &options);

		r = point ? fn(point, options, userdata) : 0;
	}
	return r;
}

static int take_first(const char *path, const char *options, void *userdata)
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
 * Only when it is not mounted yet: a second mount changes the flags of all its mounts, and takes 10
 * ms or more.
 */
static int mount_private(const char *type, const char *option)
{
	autoclose int fs = sys_fsopen(type, FSOPEN_CLOEXEC);
	int r;

	if (fs < 0)
		return fs;
	r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r < 0)
		return r;
	return sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

int cgroups_open_unified(void)
{
	int fd = open_mounted();

	return fd >= 0 ? fd : mount_private("cgroup2", "nsdelegate");
}

bool cgroups_name_is_reserved(const char *name)
{
	static const char *const files[] = {"tasks", "notify_on_release", "release_agent"};
	static const char *const prefixes[] = {
		"blkio.", "cgroup.",  "cpu.",	   "cpuacct.",	  "cpuset.", "devices.",
		"dmem.",  "freezer.", "hugetlb.",  "io.",	  "irq.",    "memory.",
		"misc.",  "net_cls.", "net_prio.", "perf_event.", "pids.",   "rdma.",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (streq(name, files[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_after_prefix(name, prefixes[i]))
			return true;
	return false;
}

struct v1_call {
	cgroups_v1_fn fn;
	void *userdata;
};

static int call_v1(const char *path, const char *options, void *userdata)
{
	const struct v1_call *call = userdata;
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return call->fn(fd, call->userdata);
	/*
	 * A hierarchy that another mount covers is skipped. A temporary failure must not skip one:
	 * its cgroups would stay for ever.
	 */
	return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
}

/* "pids\t8\t3\t1": the number of the controller's hierarchy; 0 is cgroup2. */
static bool is_bound_to_v1(const char *controller)
{
	autofree char *text = NULL;
	char *line, *saved = NULL;

	if (io_read_file_at(AT_FDCWD, "/proc/cgroups", PROCS_MAX_BYTES, &text, NULL) < 0)
		return false;
	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		const char *rest = str_after_prefix(line, controller);

		if (rest && *rest == '\t')
			return strtoul(rest + 1, NULL, 10) != 0;
	}
	return false;
}

struct v1_search {
	const char *controller;
	int fd;
};

static int take_v1(const char *path, const char *options, void *userdata)
{
	struct v1_search *search = userdata;
	autostrv char **words = NULL;
	int r = search->fd >= 0 ? 0 : strv_split(options, ",", &words);

	if (r >= 0 && strv_contains(words, search->controller))
		search->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r;
}

/* *ret_is_shown: it is mounted in this mount namespace. */
static int open_v1(const char *controller, bool *ret_is_shown)
{
	struct v1_search search = {.controller = controller, .fd = -ENOENT};
	int r = for_each_mount("cgroup", take_v1, &search);

	*ret_is_shown = search.fd >= 0;
	if (r < 0 || search.fd >= 0)
		return r < 0 ? r : search.fd;
	/* Never mount a controller that cgroup2 has: that would take it away. */
	return is_bound_to_v1(controller) ? mount_private("cgroup", controller) : -ENOENT;
}

int cgroups_open_v1(const char *controller)
{
	bool is_shown;

	return open_v1(controller, &is_shown);
}

int cgroups_for_each_v1(cgroups_v1_fn fn, void *userdata)
{
	struct v1_call call = {.fn = fn, .userdata = userdata};
	bool is_shown = true;
	autoclose int hidden = -1;
	int r = for_each_mount("cgroup", call_v1, &call);

	/* Machines are put into the pids hierarchy whether or not it is mounted here. */
	hidden = r < 0 ? -1 : open_v1("pids", &is_shown);
	return r >= 0 && hidden >= 0 && !is_shown ? fn(hidden, userdata) : r;
}

int cgroups_open_below(int root_fd, const char *path)
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
	machine = cgroups_open_below(root, path);
	if (machine < 0)
		return machine;
	if (mkdirat(machine, "enter", 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(machine, "enter", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

struct tasks {
	const char *path;
	int *fds;
	size_t count, max;
};

static int open_tasks(int root_fd, void *userdata)
{
	struct tasks *tasks = userdata;
	autoclose int dir = cgroups_open_below(root_fd, tasks->path);
	int fd;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	if (tasks->count == tasks->max)
		return -E2BIG;
	fd = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	tasks->fds[tasks->count++] = fd;
	return 0;
}

int cgroups_open_v1_tasks(const char *path, int *ret_fds, size_t max)
{
	struct tasks tasks = {.path = path, .fds = ret_fds, .max = max};
	int r = cgroups_for_each_v1(open_tasks, &tasks);

	while (r < 0 && tasks.count > 0)
		(void)close(ret_fds[--tasks.count]);
	return r < 0 ? r : (int)tasks.count;
}

int cgroups_open(const char *path)
{
	autoclose int root = cgroups_open_unified();

	return root < 0 ? root : cgroups_open_below(root, path);
}

int cgroups_read_pids(int cgroup_fd, pid_t **ret, size_t *ret_count)
{
	autoclose int fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return cgroups_read_procs(fd, ret, ret_count);
	/* The cgroup was just removed. */
	if (errno != ENODEV)
		return -errno;
	*ret = calloc(1, sizeof(**ret));
	*ret_count = 0;
	return *ret ? 0 : -ENOMEM;
}

int cgroups_read_procs(int procs_fd, pid_t **ret, size_t *ret_count)
{
	autofree pid_t *pids = NULL;
	autofree char *text = NULL;
	char *line, *saved = NULL;
	size_t count = 0, size;
	int r = io_read_fd(procs_fd, PROCS_MAX_BYTES, &text, &size);

	/* A threaded cgroup lists no processes, nor does one that was just removed. */
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
