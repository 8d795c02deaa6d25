/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The binds and tmpfs that a person asked for. Sources are opened once, before anything is made;
 * after that only their descriptors are used. Targets are looked up inside the tree, and links
 * there must never lead out of it (P08). Supervisor's side.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/host.h"
#include "kernel/sys.h"
#include "lib/io.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

/* Two slots for a mount: its source, and the user namespace of its own id map. */
#define SLOT_OF(i) ((enum plan_slot)(PLAN_SLOT_SOURCE + 2 * (int)(i)))
#define SLOT_NS_OF(i) ((enum plan_slot)(SLOT_OF(i) + 1))
_Static_assert(2 * SPEC_MOUNTS_MAX <= PLAN_SLOT_SOURCES_MAX, "the plan holds all mounts of a spec");

static bool is_bind(const struct spec_mount *mount)
{
	return mount->kind == SPEC_MOUNT_BIND && !str_is_empty(mount->source);
}

static int open_source(struct host *host, const struct spec_mount *mount)
{
	int fd;

	if (mount->source_in_image)
		fd = path_open_in_root(host->slots[PLAN_SLOT_IMAGE], mount->source, O_PATH);
	else
		fd = open(mount->source, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return log_errno(mount->source_in_image ? fd : -errno, "open %s to bind it on %s",
				 mount->source, mount->target);
	return fd;
}

/* A user namespace that maps only `outside` (on disk) to `inside` (the host's number). */
static int make_map(uint32_t outside, uint32_t inside)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	autofree char *map = str_printf("%u %u 1", outside, inside);
	pid_t pid = map ? sys_clone3(&args, sizeof(args)) : -ENOMEM;
	char path[64];
	int r = 0;

	if (pid < 0)
		return pid;
	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	for (int i = 0; i < 2 && r >= 0; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid,
			       i ? "gid_map" : "uid_map");
		r = io_write_file_at(AT_FDCWD, path, map);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (r >= 0)
		r = (int)SYS_RESULT(open(path, O_RDONLY | O_CLOEXEC));
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return r;
}

/* rootidmap maps the source's owner to root inside, owneridmap to the owner of the target. */
static int prepare_map(struct host *host, const struct spec_mount *mount, enum plan_slot slot,
		       const struct stat *source)
{
	uint32_t inside = 0;
	int fd;

	if (!host->facts.has_user_namespace || mount->idmap < SPEC_IDMAP_ROOT)
		return 0;
	if (mount->idmap == SPEC_IDMAP_OWNER) {
		struct stat st;
		autoclose int target =
			path_open_in_root(host->slots[PLAN_SLOT_IMAGE], mount->target, O_PATH);

		if (target < 0 || fstat(target, &st) < 0)
			return log_errno(target < 0 ? target : -errno,
					 "find the owner of %s for owneridmap", mount->target);
		inside = st.st_uid;
	}
	fd = make_map(source->st_uid, host->facts.uid_shift + inside);
	if (fd < 0)
		return log_errno(fd, "map the owner of %s", mount->source);
	host_set_slot(host, slot, fd);
	return 0;
}

static int check_target(const struct spec_mount *mount)
{
	if (str_after_prefix(mount->target, "/proc/") || str_after_prefix(mount->target, "/sys/") ||
	    streq(mount->target, "/proc") || streq(mount->target, "/sys") ||
	    streq(mount->target, "/"))
		return log_error(-EINVAL,
				 "can't mount on %s: /, /proc and /sys are the machine's own",
				 mount->target);
	return 0;
}

static int prepare_one(struct host *host, size_t i)
{
	const struct spec_mount *mount = &host->spec->mounts[i];
	struct stat st;
	int r = check_target(mount);

	if (r < 0 || !is_bind(mount))
		return r;
	r = open_source(host, mount);
	if (r < 0)
		return r;
	host_set_slot(host, SLOT_OF(i), r);
	if (fstat(r, &st) < 0)
		return log_errno(-errno, "look at %s", mount->source);
	host->facts.mount_is_file[i] = !S_ISDIR(st.st_mode);
	return prepare_map(host, mount, SLOT_NS_OF(i), &st);
}

static int mounts_prepare(struct host *host)
{
	size_t count = host->spec->mount_count;

	host->facts.mount_is_file = calloc(count + 1, sizeof(bool));
	if (!host->facts.mount_is_file)
		return log_oom();
	for (size_t i = 0; i < count; i++) {
		int r = prepare_one(host, i);

		if (r < 0)
			return r;
	}
	return 0;
}

static void plan_bind(const struct spec_mount *mount, size_t i, bool has_user_namespace,
		      struct plan *plan)
{
	uint64_t recursive = mount->recursive ? AT_RECURSIVE : 0;
	enum plan_slot ns = PLAN_SLOT_NONE;

	if (has_user_namespace && mount->idmap != SPEC_IDMAP_NONE)
		ns = mount->idmap == SPEC_IDMAP_IDMAP ? PLAN_SLOT_USERNS : SLOT_NS_OF(i);
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN, .in = SLOT_OF(i),
		 .flags = recursive, .out = SLOT_OF(i));
	if (mount->read_only || ns != PLAN_SLOT_NONE)
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = SLOT_OF(i),
			 .ns = ns, .flags = recursive,
			 .number = mount->read_only ? MOUNT_ATTR_RDONLY : 0);
}

/* Whether the comma-separated options contain that name with a value. */
static bool has_option(const char *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && at[length] == '=')
			return true;
	}
	return false;
}

/* Keeps a person's options, and adds an owner and limits if they name none. */
static void plan_tmpfs(const struct spec_mount *mount, uint32_t owner, struct plan *plan)
{
	const char *options = mount->options ? mount->options : "mode=0755";
	bool has_owner = has_option(options, "uid");
	bool has_size = has_option(options, "size") || has_option(options, "nr_blocks");
	bool has_inodes = has_option(options, "nr_inodes");

	options = plan_printf(plan, "%s%s%s", options, has_size ? "" : "," HOST_TMPFS_SIZE,
			      has_inodes ? "" : "," HOST_TMPFS_INODES);
	PLAN_ADD(plan, .kind = PLAN_OP_NEW_FS, .stage = PLAN_STAGE_SETUP, .source = "tmpfs",
		 .data = has_owner ? options
				   : plan_printf(plan, "%s,uid=%u,gid=%u", options, owner, owner),
		 .flags = mount->read_only ? MOUNT_ATTR_RDONLY : 0, .out = PLAN_SLOT_MOUNT);
}

static void mounts_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct spec_mount *mount = &spec->mounts[i];
		bool is_file = is_bind(mount) && facts->mount_is_file && facts->mount_is_file[i];
		const char *target = plan_str(plan, mount->target);

		if (is_bind(mount))
			plan_bind(mount, i, facts->has_user_namespace, plan);
		else
			plan_tmpfs(mount, facts->uid_shift, plan);
		PLAN_ADD(plan, .kind = is_file ? PLAN_OP_MKFILE : PLAN_OP_MKDIR,
			 .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT, .path = target,
			 .uid = facts->uid_shift, .gid = facts->uid_shift);
		PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_SETUP,
			 .in = is_bind(mount) ? SLOT_OF(i) : PLAN_SLOT_MOUNT, .at = PLAN_SLOT_ROOT,
			 .path = target);
	}
}

static void mounts_done(struct host_facts *facts)
{
	free(facts->mount_is_file);
}

const struct host_module host_module_mounts = {
	.name = "mounts",
	.prepare = mounts_prepare,
	.plan = mounts_plan,
	.done = mounts_done,
};
