/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The namespaces and the tree itself: it is mapped, mounted in the supervisor's own mount
 * namespace, and made the root of PID 1. With a user namespace the guest's mounts are a copy in a
 * less privileged namespace. The kernel locks such copies, so the guest can't undo a read-only bind
 * or see what a mount covers. Must never mount anything in the host's own mount namespace. Source:
 * mount_namespaces(7), "Restrictions on mount namespaces". Supervisor's side.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "host/host.h"
#include "host/scratch.h"
#include "kernel/sys.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/registry.h"

static int root_prepare(struct host *host)
{
	int r;

	if (host->only_looks) {
		host->facts.scratch_name = strdup("NAME.RANDOM");
		return host->facts.scratch_name ? 0 : log_oom();
	}
	if (mkdirat(host->slots[PLAN_SLOT_MACHINE_DIR], "root", 0700) < 0 && errno != EEXIST)
		return log_errno(-errno, "make the mount point of machine %s", host->spec->machine);
	if (!host->spec->ephemeral)
		return 0;
	r = scratch_make(host);
	if (r < 0)
		return log_errno(r, "make a directory for the changes of %s in " HOST_SCRATCH_DIR,
				 host->spec->machine);
	return 0;
}

static enum plan_slot tree_slot(const struct spec *spec)
{
	return spec->ephemeral ? PLAN_SLOT_MAPPED : PLAN_SLOT_ROOT;
}

static bool has_new_network(const struct spec *spec)
{
	return spec->private_network && !spec->netns_path;
}

/*
 * Root of the user namespace that owns a cgroup namespace can mount cgroup hierarchies; those of v1
 * start where the namespace's creator was, which is often their root. Shifted users can't write
 * anything there. If root of the machine is root of the host, the cgroup namespace must belong to
 * the host: the outer child makes it, and the machine's users can make no other (K13).
 */
bool host_holder_makes_cgroupns(const struct host_facts *facts)
{
	return facts->has_cgroup && !host_root_is_administrator(facts);
}

/*
 * The namespaces that the holder makes, in addition to the user namespace it is in. The root of a
 * cgroup namespace is the cgroup that its creator is in.
 */
static uint64_t made_by_holder(const struct spec *spec, const struct host_facts *facts)
{
	return CLONE_NEWIPC | CLONE_NEWUTS |
	       (host_holder_makes_cgroupns(facts) ? CLONE_NEWCGROUP : 0) |
	       (has_new_network(spec) ? CLONE_NEWNET : 0);
}

/* In a v1 hierarchy a child starts in the cgroup of its parent, so the parent moves there. */
static void plan_join_tasks(const struct host_facts *facts, struct plan *plan,
			    enum plan_stage stage)
{
	if (facts->has_v1_pids)
		PLAN_ADD(plan, .kind = PLAN_OP_JOIN_TASKS, .stage = stage, .in = PLAN_SLOT_PIDS);
}

void host_plan_namespaces(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	const enum plan_stage holder = PLAN_STAGE_HOLDER;

	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_HOLDER, .stage = PLAN_STAGE_BEGIN,
		 .flags = facts->has_user_namespace ? CLONE_NEWUSER : 0,
		 .in = facts->has_cgroup ? PLAN_SLOT_CGROUP_PAYLOAD : PLAN_SLOT_NONE,
		 .ns = spec->netns_path ? PLAN_SLOT_NETNS : PLAN_SLOT_NONE,
		 .uid = facts->users_maker, .gid = facts->users_maker, .out = PLAN_SLOT_HOLDER);
	/* First, since the creator's cgroup becomes the root of the cgroup namespace. */
	plan_join_tasks(facts, plan, holder);
	PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = holder,
		 .flags = made_by_holder(spec, facts));
	/* User namespaces made inside inherit this limit. */
	if (host_root_is_administrator(facts))
		PLAN_ADD(plan, .kind = PLAN_OP_SYSCTL, .stage = holder,
			 .path = "user/max_cgroup_namespaces", .data = "0");
	if (has_new_network(spec))
		PLAN_ADD(plan, .kind = PLAN_OP_LOOPBACK, .stage = holder);
	PLAN_ADD(plan, .kind = PLAN_OP_ANNOUNCE, .stage = holder);
}

static void plan_mounts(const struct spec *spec, struct plan *plan)
{
	const enum plan_stage setup = PLAN_STAGE_SETUP;
	/* From here on descriptors refer to copies, not to mounts of the caller's namespace. */
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN, .in = PLAN_SLOT_IMAGE,
		 .flags = AT_RECURSIVE, .out = tree_slot(spec));
	PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = setup, .flags = CLONE_NEWNS);
	/* Slaves, so that what the host unmounts later disappears here too. */
	PLAN_ADD(plan, .kind = PLAN_OP_PROPAGATE, .stage = PLAN_STAGE_SETUP, .number = MS_SLAVE);
}

/*
 * If a user of the machine is root on the host, device nodes in the tree must not work. For others
 * they don't work anyway, and nodev would be locked: nix-daemon remounts its store writable without
 * that flag.
 */
static uint64_t device_attribute(const struct host_facts *facts)
{
	return host_root_is_a_user(facts) ? MOUNT_ATTR_NODEV : 0;
}

static void plan_tree(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	enum plan_slot tree = tree_slot(spec);
	bool is_read_only = spec->read_only && !spec->ephemeral;

	if (facts->has_user_namespace && facts->uid_shift != 0)
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = tree,
			 .ns = PLAN_SLOT_USERNS, .flags = AT_RECURSIVE);
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = tree,
		 .number = (is_read_only ? MOUNT_ATTR_RDONLY : 0) | device_attribute(facts));
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH_HOST, .stage = PLAN_STAGE_SETUP, .in = tree,
		 .at = PLAN_SLOT_CWD,
		 .path = plan_printf(plan, MACHINE_RUN_DIR "/%s/root", spec->machine));
}

static void plan_overlay(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (!spec->ephemeral)
		return;
	/* volatile: don't sync changes that are thrown away. */
	PLAN_ADD(plan, .kind = PLAN_OP_OVERLAY, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_MAPPED,
		 .source = plan_printf(plan, HOST_SCRATCH_DIR "/%s", facts->scratch_name),
		 .data = "volatile", .flags = device_attribute(facts), .out = PLAN_SLOT_ROOT);
	if (spec->read_only)
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_ROOT, .number = MOUNT_ATTR_RDONLY);
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH_HOST, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_ROOT,
		 .at = PLAN_SLOT_CWD,
		 .path = plan_printf(plan, MACHINE_RUN_DIR "/%s/root", spec->machine));
}

/* Only a systemd starts in the guest's root group, see host/cgroup.c. */
static enum plan_slot inner_cgroup(const struct host_facts *facts)
{
	if (!facts->has_cgroup)
		return PLAN_SLOT_NONE;
	return facts->init_notifies ? PLAN_SLOT_CGROUP_PAYLOAD : PLAN_SLOT_CGROUP_LEAF;
}

static void plan_children(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	const enum plan_stage outer = PLAN_STAGE_OUTER, inner = PLAN_STAGE_INNER;

	plan_join_tasks(facts, plan, outer);
	/* Slow: the kernel waits until no process is forking. */
	if (facts->has_cgroup && host_root_is_administrator(facts)) {
		PLAN_ADD(plan, .kind = PLAN_OP_JOIN_CGROUP, .stage = outer,
			 .in = PLAN_SLOT_CGROUP_PAYLOAD);
		PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = outer, .flags = CLONE_NEWCGROUP);
	}
	/* All in one call, with the host's privilege, which joining a network namespace of others
	 * takes. PID 1 joins the cgroup namespace itself: a process in a cgroup namespace, but not
	 * in its cgroups, can't create a process there. */
	PLAN_ADD(plan, .kind = PLAN_OP_JOIN, .stage = outer, .in = PLAN_SLOT_HOLDER,
		 .flags = (facts->has_user_namespace ? CLONE_NEWUSER : 0) |
			  (spec->netns_path ? CLONE_NEWNET : 0) |
			  (made_by_holder(spec, facts) & ~(uint64_t)CLONE_NEWCGROUP));
	PLAN_ADD(plan, .kind = PLAN_OP_FCHDIR, .stage = outer, .in = PLAN_SLOT_ROOT);
	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_INNER, .stage = outer, .flags = CLONE_NEWPID,
		 .in = inner_cgroup(facts));
	if (host_holder_makes_cgroupns(facts))
		PLAN_ADD(plan, .kind = PLAN_OP_JOIN, .stage = inner, .in = PLAN_SLOT_CGROUPNS,
			 .flags = CLONE_NEWCGROUP);
	if (facts->has_user_namespace)
		PLAN_ADD(plan, .kind = PLAN_OP_BECOME_ROOT, .stage = inner);
	PLAN_ADD(plan, .kind = PLAN_OP_PDEATHSIG, .stage = inner);
	/* Not before all mounts are made, since copying them is what locks them. */
	PLAN_ADD(plan, .kind = PLAN_OP_AWAIT_MOUNTS, .stage = inner);
	PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = inner, .flags = CLONE_NEWNS);
	PLAN_ADD(plan, .kind = PLAN_OP_PROPAGATE, .stage = inner, .number = MS_PRIVATE);
	PLAN_ADD(plan, .kind = PLAN_OP_REBASE, .stage = inner, .out = PLAN_SLOT_ROOT);
}

static void root_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	host_plan_namespaces(spec, facts, plan);
	plan_mounts(spec, plan);
	plan_tree(spec, facts, plan);
	plan_overlay(spec, facts, plan);
	plan_children(spec, facts, plan);
}

static void root_undo(struct host *host)
{
	int r;

	if (!host->facts.scratch_name || host->only_looks)
		return;
	r = scratch_remove(host);
	if (r < 0)
		host_note_leftovers(host, r, "the changes in " HOST_SCRATCH_DIR " of machine",
				    host->spec->machine);
}

static void root_done(struct host_facts *facts)
{
	free(facts->scratch_name);
}

const struct host_module host_module_root = {
	.name = "root",
	.prepare = root_prepare,
	.plan = root_plan,
	.undo = root_undo,
	.clean = scratch_clean,
	.done = root_done,
};
