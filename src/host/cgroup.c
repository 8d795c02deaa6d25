/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's cgroup in the cgroup2 tree, and its device filter:
 *
 *   /redd/NAME            the device filter; no process of its own
 *   /redd/NAME/payload    delegated to the guest's root, the root of its cgroup namespace
 *   /redd/NAME/payload/init   where PID 1 starts unless it is systemd: a leaf, so that the guest's
 *                         root group has no process and can enable controllers. A systemd makes
 *                         such a leaf (/init.scope) itself, and manages only what is below the
 *                         group that it starts in
 *   /redd/NAME/enter      made when a process enters the machine
 *
 * The tree is reached by descriptor, so it makes no difference whether the host shows it at
 * /sys/fs/cgroup, next to v1 hierarchies, or not at all. If the kernel can't filter devices in it,
 * the v1 devices controller is the device filter. Must never leave a machine without a filter and
 * without a user namespace. Supervisor's side.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "host/cgroup_limits.h"
#include "host/devices_bound.h"
#include "host/devices_bpf.h"
#include "host/host.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/cgroups.h"

#define CONTROLLERS_MAX 4096
/* How long the end of a machine may wait for processes that don't die. */
#define REMOVE_TIMEOUT_US (5 * USEC_PER_SEC)
/* The end of another machine may remove the common parent between our two calls. */
#define MAKE_TRIES 100

/* What the guest's root must own to manage its part. Source: cgroup-v2.rst, "Delegation". */
static const char *const delegated_files[] = {
	"",
	"cgroup.procs",
	"cgroup.threads",
	"cgroup.subtree_control",
	"memory.oom.group",
	"memory.reclaim",
};
#define DELEGATED_WITHOUT_CONTROLLERS 4 /* of them, from the first */

static int open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_dir(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return open_dir(dir, name);
}

/* What inits and people set limits with. Any other controller would cost time at each start. */
static const char *const wanted_controllers[] = {"cpu", "cpuset", "io", "memory", "pids"};

/* The wanted controllers that dir could give to its children and does not yet: "+cpu +memory ". */
static int list_missing(int dir, struct buf *ret_words, bool *ret_any)
{
	autofree char *available = NULL, *enabled = NULL;
	autostrv char **has = NULL, **gives = NULL;
	int r = io_read_file_at(dir, "cgroup.controllers", CONTROLLERS_MAX, &available, NULL);

	if (r >= 0)
		r = strv_split(available, " \n", &has);
	if (r < 0 || !has)
		return r;
	r = io_read_file_at(dir, "cgroup.subtree_control", CONTROLLERS_MAX, &enabled, NULL);
	if (r >= 0)
		r = strv_split(enabled, " \n", &gives);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(wanted_controllers); i++) {
		if (!strv_contains(has, wanted_controllers[i]))
			continue;
		*ret_any = true;
		if (!strv_contains(gives, wanted_controllers[i]))
			buf_printf(ret_words, "+%s ", wanted_controllers[i]);
	}
	return r < 0 ? r : ret_words->error;
}

/* A controller that can't be enabled (if the host is a container, say) must not block others. */
static void enable_one_by_one(int dir, char *words)
{
	char *saved = NULL;

	for (char *word = strtok_r(words, " ", &saved); word; word = strtok_r(NULL, " ", &saved))
		(void)io_write_file_at(dir, "cgroup.subtree_control", word);
}

/* Enables controllers for the children of dir. False: dir has none itself. */
static bool enable_controllers(int dir)
{
	autobuf struct buf words = {};
	bool any = false;

	if (list_missing(dir, &words, &any) < 0)
		return false;
	if (words.size > 0 && io_write_file_at(dir, "cgroup.subtree_control", words.data) < 0)
		enable_one_by_one(dir, words.data);
	return any;
}

/* A directory of that name was left by a crash, since we hold the machine's lock. */
static int make_machine_dir(struct host *host, int root)
{
	const char *name = host->spec->machine;

	for (int i = 0; i < MAKE_TRIES; i++) {
		autofree char *path = cgroups_path_of(name, "");
		autoclose int parent = make_dir(root, CGROUPS_PARENT);
		int r;

		if (!path)
			return -ENOMEM;
		if (parent == -ENOENT)
			continue;
		if (parent < 0)
			return parent;
		if (host->has_controllers)
			(void)enable_controllers(parent);
		if (mkdirat(parent, name, 0755) == 0) {
			host->has_cgroup = true;
			return open_dir(parent, name);
		}
		if (errno != EEXIST && errno != ENOENT)
			return -errno;
		r = errno == EEXIST ? cgroups_remove(path, REMOVE_TIMEOUT_US) : 0;
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

static int delegate(const struct host *host, int dir)
{
	uint32_t shift = host->facts.uid_shift;
	size_t count =
		host->has_controllers ? ARRAY_SIZE(delegated_files) : DELEGATED_WITHOUT_CONTROLLERS;

	for (size_t i = 0; i < count; i++) {
		const char *name = delegated_files[i];

		if (fchownat(dir, name, shift, shift, *name ? 0 : AT_EMPTY_PATH) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int make_tree(struct host *host, int root)
{
	int payload;

	host->has_controllers = enable_controllers(root);
	host->cgroup_fd = make_machine_dir(host, root);
	if (host->cgroup_fd < 0)
		return host->cgroup_fd;
	if (host->has_controllers)
		(void)enable_controllers(host->cgroup_fd);
	payload = make_dir(host->cgroup_fd, "payload");
	if (payload < 0)
		return payload;
	host_set_slot(host, PLAN_SLOT_CGROUP_PAYLOAD, payload);
	cgroup_limit_tree(host);
	return host->facts.has_user_namespace ? delegate(host, payload) : 0;
}

static int make_leaf(struct host *host)
{
	int leaf = make_dir(host->slots[PLAN_SLOT_CGROUP_PAYLOAD], "init");

	if (leaf < 0)
		return leaf;
	host_set_slot(host, PLAN_SLOT_CGROUP_LEAF, leaf);
	return host->facts.has_user_namespace ? delegate(host, leaf) : 0;
}

/*
 * The first such filter of a host takes as long as all mounts together: the kernel rewrites its own
 * code. So the plan has it while the holder makes the namespaces.
 */
static int filter_devices(struct host *host)
{
	autofree struct device_rule *rules = NULL;
	int count = devices_rules_for(host->spec, &rules);
	autoclose int program = count < 0 ? count : devices_bpf_load(rules, (size_t)count);

	return program < 0 ? program : devices_bpf_attach(host->cgroup_fd, program);
}

/* v1: a "redd/NAME" directory in the devices hierarchy; PID 1 is put there by attach. */
static int filter_devices_v1_in(int root_fd, void *userdata)
{
	struct host *host = userdata;
	autofree struct device_rule *rules = NULL;
	int count = devices_rules_for(host->spec, &rules);
	autoclose int parent = -1;
	autoclose int dir = -1;
	int r;

	if (faccessat(root_fd, "devices.list", F_OK, 0) < 0)
		return 0;
	host->has_v1_cgroup = true;
	parent = make_dir(root_fd, CGROUPS_PARENT);
	dir = parent < 0 ? parent : make_dir(parent, host->spec->machine);
	if (dir < 0 || count < 0)
		return dir < 0 ? dir : count;
	r = devices_v1_rules(dir, rules, (size_t)count);
	host->facts.has_v1_devices = r >= 0;
	return r;
}

static int filter_devices_v1(struct host *host)
{
	int r = cgroups_for_each_v1(filter_devices_v1_in, host);

	return r < 0 ? r : host->facts.has_v1_devices ? 0 : -ENODEV;
}

static void look_at_cgroups(struct host *host, int root)
{
	int r = root < 0 ? root : devices_bpf_probe(root);

	host->facts.has_cgroup = root >= 0;
	cgroup_look_at_limits(host, root);
	/* For a user who isn't root, --explain shows what root would do. */
	host->facts.has_bpf_devices = r >= 0 || r == -EPERM;
}

/* Without a user namespace nothing but the filter keeps the guest from disks. */
static int go_unfiltered(const struct host *host, int error)
{
	const char *name = host->spec->machine;

	if (!host->facts.has_user_namespace)
		return log_errno(
			error,
			"filter the devices of machine %s; the kernel needs CONFIG_CGROUP_BPF "
			"or the devices controller, or use --private-users=pick",
			name);
	log_warning_errno(error,
			  "machine %s runs without a device filter, its user namespace alone keeps "
			  "it from devices",
			  name);
	return 0;
}

static int cgroup_begin(struct host *host)
{
	autoclose int root = cgroups_open_unified();
	int r;

	if (host->only_looks) {
		look_at_cgroups(host, root);
		return 0;
	}
	r = root < 0 ? root : make_tree(host, root);
	if (r < 0 && r != -ENODEV)
		return log_errno(r, "make the cgroup of machine %s", host->spec->machine);
	if (r >= 0) {
		host->facts.has_cgroup = true;
		r = devices_bpf_probe(host->cgroup_fd);
		host->facts.has_bpf_devices = r >= 0;
	}
	cgroup_limit_processes(host);
	return r >= 0 || filter_devices_v1(host) >= 0 ? 0 : go_unfiltered(host, r);
}

static int cgroup_prepare(struct host *host)
{
	int r;

	if (host->only_looks || !host->facts.has_cgroup || host->facts.init_notifies)
		return 0;
	r = make_leaf(host);
	return r < 0 ? log_errno(r, "make the cgroup /redd/%s/payload/init", host->spec->machine)
		     : 0;
}

static void cgroup_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (facts->has_bpf_devices && !facts->has_v1_devices)
		PLAN_ADD(plan, .kind = PLAN_OP_HOST, .stage = PLAN_STAGE_SETUP, .path = "cgroup",
			 .data = "device filter");
}

static int join_v1_devices(int root_fd, void *userdata)
{
	const struct host *host = userdata;
	autofree char *path = cgroups_path_of(host->spec->machine, "/cgroup.procs");
	autofree char *pid = str_printf("%d", (int)host->leader_pid);

	if (faccessat(root_fd, "devices.list", F_OK, 0) < 0)
		return 0;
	return path && pid ? io_write_file_at(root_fd, path + 1, pid) : -ENOMEM;
}

static int cgroup_attach(struct host *host)
{
	int r;

	if (!host->facts.has_v1_devices) {
		r = filter_devices(host);
		return r < 0 ? go_unfiltered(host, r) : 0;
	}
	r = cgroups_for_each_v1(join_v1_devices, host);
	return r < 0 ? log_errno(r, "put machine %s behind its device filter", host->spec->machine)
		     : 0;
}

/* The usual case: no process is left, and the guest made no cgroups of its own. */
static int remove_own(struct host *host, int root, const char *path)
{
	if (host->has_v1_cgroup || host->cgroup_fd < 0)
		return -EBUSY;
	if (host->slots[PLAN_SLOT_CGROUP_PAYLOAD] >= 0 &&
	    unlinkat(host->slots[PLAN_SLOT_CGROUP_PAYLOAD], "init", AT_REMOVEDIR) < 0 &&
	    errno != ENOENT)
		return -errno;
	if (unlinkat(host->cgroup_fd, "payload", AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return unlinkat(root, path + 1, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_common_parent(int root_fd, void *userdata)
{
	(void)unlinkat(root_fd, CGROUPS_PARENT, AT_REMOVEDIR);
	return 0;
}

static int remove_all(struct host *host, int root)
{
	autofree char *path = cgroups_path_of(host->spec->machine, "");

	if (!path)
		return -ENOMEM;
	if (cgroup_unlimit_processes(host) >= 0 && root >= 0 && remove_own(host, root, path) >= 0)
		return 0;
	return cgroups_remove(path, REMOVE_TIMEOUT_US);
}

static void cgroup_undo(struct host *host)
{
	autoclose int root = -1;
	int r;

	if (!host->has_cgroup && !host->has_v1_cgroup && host->v1_pids_fd < 0)
		return;
	root = cgroups_open_unified();
	r = remove_all(host, root);
	if (r < 0)
		host_note_leftovers(host, r, "the cgroup of machine", host->spec->machine);
	/* The last machine removes the common parent. */
	if (root >= 0)
		(void)unlinkat(root, CGROUPS_PARENT, AT_REMOVEDIR);
	if (host->has_v1_cgroup)
		(void)cgroups_for_each_v1(remove_common_parent, NULL);
	if (host->cgroup_fd >= 0)
		(void)close(take_fd(&host->cgroup_fd));
	if (host->v1_pids_fd >= 0)
		(void)close(take_fd(&host->v1_pids_fd));
	host->has_cgroup = host->has_v1_cgroup = host->facts.has_v1_pids = false;
	host->facts.has_v1_devices = false;
}

const struct host_module host_module_cgroup = {
	.name = "cgroup",
	.begin = cgroup_begin,
	.prepare = cgroup_prepare,
	.plan = cgroup_plan,
	.attach = cgroup_attach,
	.undo = cgroup_undo,
};
