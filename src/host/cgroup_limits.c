/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits for what no user namespace limits: the machine's processes, and its cgroups. The number of
 * processes is limited by the pids controller of cgroup2 or, if the v1 hierarchies have that
 * controller, by v1:
 *
 *   /redd/NAME            the machine and the processes that enter it
 *   /redd/NAME/payload    PID 1, which starts there, and its descendants
 *
 * Supervisor's side.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "host/cgroup_limits.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/cgroups.h"

#define CONTROLLERS_MAX 4096
/* A fork bomb stays within the machine; systemd-nspawn@.service has the same number. */
#define PIDS_MAX "16384"
/* Leaves room to enter a machine that has reached its limit. The guest can't reach this one, even
 * if it changes the other, as it can without a user namespace. */
#define PIDS_MAX_ALL "16640"
/*
 * Each cgroup costs the host memory that no limit of the machine covers, and time when the machine
 * ends. A systemd has about a hundred cgroups, each container inside a few; a systemd in a
 * container in a systemd is about 15 levels deep.
 */
#define DESCENDANTS_MAX "8192"
#define DEPTH_MAX "64"
/* The end of another machine may remove the common parent between our two calls. */
#define MAKE_TRIES 100

void cgroup_limit_tree(const struct host *host)
{
	static const char *const limits[][2] = {
		{"cgroup.max.descendants", DESCENDANTS_MAX},
		{"cgroup.max.depth", DEPTH_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int r = io_write_file_at(host->cgroup_fd, limits[i][0], limits[i][1]);

		if (r < 0)
			log_warning_errno(r, "machine %s may make any number of cgroups: write %s",
					  host->spec->machine, limits[i][0]);
	}
}

static int limit_in_cgroup2(const struct host *host)
{
	int payload = host->slots[PLAN_SLOT_CGROUP_PAYLOAD];
	int r = payload < 0 ? -ENOENT : io_write_file_at(host->cgroup_fd, "pids.max", PIDS_MAX_ALL);

	return r < 0 ? r : io_write_file_at(payload, "pids.max", PIDS_MAX);
}

static int make_dir_with_limit(int parent, const char *name, const char *limit)
{
	autoclose int dir = -1;
	int r;

	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = limit ? io_write_file_at(dir, "pids.max", limit) : 0;
	return r < 0 ? r : take_fd(&dir);
}

static int make_v1_dirs(struct host *host)
{
	autoclose int common = -1, machine = -1;

	for (int i = 0; machine < 0 && i < MAKE_TRIES; i++) {
		if (common >= 0)
			(void)close(take_fd(&common));
		common = make_dir_with_limit(host->v1_pids_fd, CGROUPS_PARENT, NULL);
		if (common < 0 && common != -ENOENT)
			return common;
		machine = common < 0
				  ? common
				  : make_dir_with_limit(common, host->spec->machine, PIDS_MAX_ALL);
		if (machine < 0 && machine != -ENOENT)
			return machine;
	}
	return machine < 0 ? machine : make_dir_with_limit(machine, "payload", PIDS_MAX);
}

/* `tasks`, not cgroup.procs: a thread that moves itself need not wait for all forks of the host. */
static int limit_in_v1(struct host *host)
{
	autoclose int payload = -1;
	int fd;

	host->v1_pids_fd = cgroups_open_v1("pids");
	if (host->v1_pids_fd < 0)
		return host->v1_pids_fd;
	payload = make_v1_dirs(host);
	if (payload < 0)
		return payload;
	fd = openat(payload, "tasks", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	host_set_slot(host, PLAN_SLOT_PIDS, fd);
	host->facts.has_v1_pids = true;
	return 0;
}

void cgroup_limit_processes(struct host *host)
{
	int r = limit_in_cgroup2(host);

	if (r < 0)
		r = limit_in_v1(host);
	if (r >= 0)
		return;
	cgroup_unlimit_processes(host);
	log_warning_errno(r,
			  "nothing bounds the number of processes of machine %s: no pids "
			  "controller of cgroup v2 or v1 can be used here",
			  host->spec->machine);
}

/* For --explain: makes nothing. */
void cgroup_look_at_limits(struct host *host, int root_fd)
{
	autofree char *controllers = NULL;
	autostrv char **has = NULL;
	autoclose int v1 = -1;

	if (root_fd >= 0 &&
	    io_read_file_at(root_fd, "cgroup.controllers", CONTROLLERS_MAX, &controllers, NULL) >=
		    0 &&
	    strv_split(controllers, " \n", &has) >= 0 && strv_contains(has, "pids"))
		return;
	v1 = cgroups_open_v1("pids");
	host->facts.has_v1_pids = v1 >= 0;
}

int cgroup_unlimit_processes(struct host *host)
{
	autofree char *machine = cgroups_path_of(host->spec->machine, "");
	autofree char *payload = cgroups_path_of(host->spec->machine, "/payload");
	int r = 0;

	if (host->v1_pids_fd < 0)
		return 0;
	if (!machine || !payload)
		return -ENOMEM;
	host_set_slot(host, PLAN_SLOT_PIDS, -1);
	if (unlinkat(host->v1_pids_fd, payload + 1, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	if (r >= 0 && unlinkat(host->v1_pids_fd, machine + 1, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	/* The last machine removes the common parent. */
	(void)unlinkat(host->v1_pids_fd, CGROUPS_PARENT, AT_REMOVEDIR);
	if (r >= 0)
		(void)close(take_fd(&host->v1_pids_fd));
	return r;
}
