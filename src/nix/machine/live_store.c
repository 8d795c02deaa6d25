// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shows a running machine the store paths of a later generation: mounts another /nix/store over the
 * one that it has, with the paths of all generations since its boot and of the new one. The ops
 * that make the first /nix/store make this one, in a child process, which then enters the machine's
 * mount namespace and looks up no path there. Must never let the guest decide which paths it sees.
 * Caller's side of clone().
 */
#include "nix/machine/live_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child/child.h"
#include "host/host.h"
#include "host/store.h"
#include "kernel/sys.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/leader.h"
#include "machine/registry.h"
#include "nix/nix.h"

struct live {
	const struct machine_state *machine;
	const char *system;
	int root_fd;   /* the machine's root directory */
	int inside_fd; /* its /nix/store */
	int mnt_ns_fd;
	int slots[PLAN_SLOT_COUNT];
	struct host_facts facts;
	struct plan plan;
};

static void live_init(struct live *live, const struct machine_state *machine, const char *system)
{
	*live = (struct live){
		.machine = machine,
		.system = system,
		.root_fd = -1,
		.inside_fd = -1,
		.mnt_ns_fd = -1,
		.facts.has_user_namespace = machine->uid_range > 0,
		.facts.uid_shift = machine->uid_range > 0 ? machine->uid_shift : 0,
		.facts.uid_range = machine->uid_range,
	};
	for (int i = 0; i < PLAN_SLOT_COUNT; i++)
		live->slots[i] = -1;
	live->slots[PLAN_SLOT_CWD] = AT_FDCWD;
}

static void live_done(struct live *live)
{
	const int fds[] = {live->root_fd, live->inside_fd, live->mnt_ns_fd};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	for (int i = 0; i < PLAN_SLOT_COUNT; i++)
		if (live->slots[i] >= 0)
			(void)close(live->slots[i]);
	plan_done(&live->plan);
	host_facts_done(&live->facts);
}

static int open_namespace(const struct leader *leader, const char *name)
{
	return (int)SYS_RESULT(openat(leader->proc_fd, name, O_RDONLY | O_CLOEXEC));
}

static int open_guest(struct live *live)
{
	autoleader struct leader leader = {};
	int r = leader_open(live->machine, &leader);

	if (r < 0)
		return r;
	live->root_fd = leader_open_root(&leader);
	live->mnt_ns_fd = open_namespace(&leader, "ns/mnt");
	if (live->root_fd < 0 || live->mnt_ns_fd < 0)
		return MIN(live->root_fd, live->mnt_ns_fd);
	live->inside_fd = path_open_in_root(live->root_fd, NIX_STORE_DIR, O_PATH | O_DIRECTORY);
	if (live->inside_fd < 0 || !live->facts.has_user_namespace)
		return MIN(live->inside_fd, 0);
	live->slots[PLAN_SLOT_USERNS] = open_namespace(&leader, "ns/user");
	return MIN(live->slots[PLAN_SLOT_USERNS], 0);
}

static bool sees_all(const struct live *live, const struct nix_closure *closure)
{
	struct stat st;

	for (size_t i = 0; i < closure->count; i++)
		if (fstatat(live->inside_fd, closure->names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			return false;
	return true;
}

static int add_names(struct live *live, const struct nix_closure *closure, char ***all)
{
	struct stat st;
	int r = 0;

	for (size_t i = 0; i < closure->count && r >= 0; i++) {
		const char *name = closure->names[i];

		if (!strv_contains(*all, name) &&
		    fstatat(live->slots[PLAN_SLOT_STORE], name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = strv_add(all, name);
	}
	return r;
}

/* Paths of an earlier generation may be in use, unless they are gone from the store. */
static int add_system(struct live *live, const char *system, char ***all)
{
	autoclosure struct nix_closure closure = {};

	return nix_closure_read(system, &closure) < 0 ? 0 : add_names(live, &closure, all);
}

/* The guest can't change its profile on the host: trust it. */
static int add_generations(struct live *live, char ***all)
{
	struct nix_generation *list = NULL;
	size_t count = 0;
	int r = add_system(live, live->machine->nix_system, all);

	/* Without a profile, the booted system is the only one. */
	if (live->machine->nix_generation == 0 ||
	    nix_generations_list(live->machine->name, &list, &count) < 0)
		return r;
	for (size_t i = 0; i < count && r >= 0; i++)
		if (list[i].number > live->machine->nix_generation && list[i].store_path &&
		    !streq(list[i].store_path, live->system))
			r = add_system(live, list[i].store_path, all);
	nix_generations_free(list, count);
	return r;
}

/* 1: the machine sees all paths already. */
static int read_paths(struct live *live)
{
	autoclosure struct nix_closure closure = {}, all = {};
	int r = nix_closure_read(live->system, &closure);

	if (r < 0)
		return r;
	if (sees_all(live, &closure))
		return 1;
	live->slots[PLAN_SLOT_STORE] =
		(int)SYS_RESULT(open(NIX_STORE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (live->slots[PLAN_SLOT_STORE] < 0)
		return log_errno(live->slots[PLAN_SLOT_STORE], "open " NIX_STORE_DIR);
	r = add_generations(live, &all.names);
	if (r >= 0)
		r = add_names(live, &closure, &all.names);
	if (r < 0)
		return log_oom();
	all.count = strv_length(all.names);
	return store_facts_look(live->slots[PLAN_SLOT_STORE], live->system, &all, &live->facts);
}

static int make_plan(struct live *live)
{
	const enum plan_stage setup = PLAN_STAGE_SETUP;

	PLAN_ADD(&live->plan, .kind = PLAN_OP_UNSHARE, .stage = setup, .flags = CLONE_NEWNS);
	PLAN_ADD(&live->plan, .kind = PLAN_OP_PROPAGATE, .stage = setup, .number = MS_SLAVE);
	/* Attaching to a mount namespace of the guest's locks nothing: lock here. */
	(void)store_plan_tree(SPEC_STORE_CLOSURE, &live->facts, true, &live->plan);
	plan_finish(&live->plan);
	return live->plan.error < 0 ? log_oom() : 0;
}

static int make_tree(struct live *live)
{
	struct child_context context = {.plan = &live->plan, .slots = live->slots};
	int r = child_run_stage(&context, PLAN_STAGE_OPEN);

	if (r >= 0)
		r = child_run_stage(&context, PLAN_STAGE_SETUP);
	if (r < 0)
		return log_errno(r, "make the new /nix/store of machine %s: step \"%s\" failed",
				 live->machine->name,
				 plan_op_name(live->plan.ops[context.current_op].kind));
	return 0;
}

static int attach_tree(struct live *live)
{
	int r = (int)SYS_RESULT(setns(live->mnt_ns_fd, CLONE_NEWNS));

	if (r >= 0)
		r = sys_move_mount(live->slots[PLAN_SLOT_STORE_TREE], "", live->inside_fd, "",
				   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	return r < 0 ? log_errno(r, "put the new store paths into machine %s", live->machine->name)
		     : 0;
}

static int add_paths(struct live *live)
{
	int r = read_paths(live);

	if (r != 0)
		return MIN(r, 0);
	r = make_plan(live);
	if (r >= 0)
		r = make_tree(live);
	return r < 0 ? r : attach_tree(live);
}

/*
 * Runs the op that made the link at boot. As the guest's root, and therefore last: the guest may
 * have mounted a directory of the host's on the path, or made one its root directory.
 */
static int set_link_as_guest(struct live *live)
{
	struct plan_op op;
	struct child_context context = {.slots = live->slots};
	int r = live->facts.has_user_namespace ? child_become_guest(&context) : 0;

	if (r < 0)
		return r;
	/* Ids are those of the guest's user namespace now, and it has been entered already. */
	store_fill_link(&op, live->system, 0);
	child_set_slot(&context, PLAN_SLOT_USERNS, -1);
	live->slots[op.at] = take_fd(&live->root_fd);
	return child_run_op(&context, &op);
}

static void set_link(struct live *live)
{
	int r = set_link_as_guest(live);

	if (r < 0 && r != -EROFS)
		log_warning_errno(r, "point " NIX_STATE_DIR "/profiles/system of machine %s to %s",
				  live->machine->name, live->system);
}

static int work(struct live *live)
{
	int r = open_guest(live);

	if (r < 0)
		return log_errno(r, "look into machine %s", live->machine->name);
	if (streq(live->machine->nix_store, "closure"))
		r = add_paths(live);
	/* With Store=daemon the machine sees the host's own profile, which has been switched. */
	if (r >= 0 && !streq(live->machine->nix_store, "daemon"))
		set_link(live);
	return r;
}

int nix_live_add_paths(const struct machine_state *machine, const char *system)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return log_errno(-errno, "make a process to mount with");
	if (pid == 0) {
		struct live live;
		int r;

		live_init(&live, machine, system);
		r = work(&live);
		live_done(&live);
		_exit(r < 0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? 0 : -EIO;
}
