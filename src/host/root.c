/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The namespaces and the tree itself: mapped, put up in the supervisor's own mount namespace, and
 * made the root of PID 1. With a user namespace the guest's mounts are a copy across that border:
 * the kernel locks them, so that the guest can't undo a read-only bind or uncover what is below.
 * Source: mount_namespaces(7), "Restrictions on mount namespaces". Supervisor's side.
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

static void plan_namespaces(const struct spec *spec, const struct host_facts *facts,
			    struct plan *plan)
{
	const enum plan_stage setup = PLAN_STAGE_SETUP;
	/* What is opened by a descriptor of the caller's mount namespace is a copy from here on. */
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN, .in = PLAN_SLOT_IMAGE,
		 .flags = AT_RECURSIVE, .out = tree_slot(spec));
	PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = setup, .flags = CLONE_NEWNS);
	/* Slaves, so that what the host unmounts later is unmounted here too. */
	PLAN_ADD(plan, .kind = PLAN_OP_PROPAGATE, .stage = PLAN_STAGE_SETUP, .number = MS_SLAVE);
	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_OUTER, .stage = PLAN_STAGE_SETUP,
		 .flags = facts->has_user_namespace ? CLONE_NEWUSER : 0,
		 .in = facts->has_cgroup ? PLAN_SLOT_CGROUP_PAYLOAD : PLAN_SLOT_NONE,
		 .ns = spec->netns_path ? PLAN_SLOT_NETNS : PLAN_SLOT_NONE,
		 .out = PLAN_SLOT_USERNS);
}

static void plan_tree(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	enum plan_slot tree = tree_slot(spec);
	bool is_read_only = spec->read_only && !spec->ephemeral;

	if (facts->has_user_namespace && facts->uid_shift != 0)
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = tree,
			 .ns = PLAN_SLOT_USERNS, .flags = AT_RECURSIVE);
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = tree,
		 .number = (is_read_only ? MOUNT_ATTR_RDONLY : 0) |
			   (facts->has_user_namespace ? 0 : MOUNT_ATTR_NODEV));
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH_HOST, .stage = PLAN_STAGE_SETUP, .in = tree,
		 .at = PLAN_SLOT_CWD,
		 .path = plan_printf(plan, MACHINE_RUN_DIR "/%s/root", spec->machine));
}

static void plan_overlay(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (!spec->ephemeral)
		return;
	/* volatile: its unmount must not write back what is thrown away. */
	PLAN_ADD(plan, .kind = PLAN_OP_OVERLAY, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_MAPPED,
		 .source = plan_printf(plan, HOST_SCRATCH_DIR "/%s", facts->scratch_name),
		 .data = "volatile", .flags = facts->has_user_namespace ? 0 : MOUNT_ATTR_NODEV,
		 .out = PLAN_SLOT_ROOT);
	if (spec->read_only)
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_ROOT, .number = MOUNT_ATTR_RDONLY);
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH_HOST, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_ROOT,
		 .at = PLAN_SLOT_CWD,
		 .path = plan_printf(plan, MACHINE_RUN_DIR "/%s/root", spec->machine));
}

/* See host/cgroup.c: only a systemd begins in the guest's root group. */
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

	/* A network takes as long to make as all the mounts: both at once. */
	PLAN_ADD(plan, .kind = PLAN_OP_UNSHARE, .stage = outer,
		 .flags = CLONE_NEWIPC | CLONE_NEWUTS | (facts->has_cgroup ? CLONE_NEWCGROUP : 0) |
			  (has_new_network(spec) ? CLONE_NEWNET : 0));
	if (has_new_network(spec))
		PLAN_ADD(plan, .kind = PLAN_OP_LOOPBACK, .stage = outer);
	if (host_network_has_work(spec))
		PLAN_ADD(plan, .kind = PLAN_OP_ANNOUNCE, .stage = outer);
	PLAN_ADD(plan, .kind = PLAN_OP_WAIT, .stage = outer, .out = PLAN_SLOT_ROOT);
	if (facts->has_user_namespace)
		PLAN_ADD(plan, .kind = PLAN_OP_BECOME_ROOT, .stage = outer);
	PLAN_ADD(plan, .kind = PLAN_OP_FCHDIR, .stage = outer, .in = PLAN_SLOT_ROOT);
	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_INNER, .stage = outer,
		 .flags = CLONE_NEWNS | CLONE_NEWPID, .in = inner_cgroup(facts));
	PLAN_ADD(plan, .kind = PLAN_OP_PDEATHSIG, .stage = inner);
	PLAN_ADD(plan, .kind = PLAN_OP_PROPAGATE, .stage = inner, .number = MS_PRIVATE);
	PLAN_ADD(plan, .kind = PLAN_OP_REBASE, .stage = inner, .out = PLAN_SLOT_ROOT);
}

static void root_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	plan_namespaces(spec, facts, plan);
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

const struct host_module host_module_root = {
	.name = "root",
	.prepare = root_prepare,
	.plan = root_plan,
	.undo = root_undo,
	.clean = scratch_clean,
};
