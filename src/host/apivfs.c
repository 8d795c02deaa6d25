/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc, /sys, the cgroup tree and the message queues: mounted by PID 1 itself, since each shows
 * the namespaces of who mounts it. What of them is hidden or read-only is the list that
 * systemd-nspawn has. Source: the container interface of systemd. Supervisor's side.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "host/host.h"
#include "lib/macro.h"

#define API_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static const char *const proc_read_only[] = {
	"sys", "acpi", "apm", "asound", "bus", "fs", "irq", "scsi",
};
static const char *const proc_hidden[] = {
	"kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list",
};

static void add_fs(struct plan *plan, const char *type, const char *path, enum plan_slot out)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_INNER, .source = type,
		 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC, .at = PLAN_SLOT_ROOT, .path = path,
		 .out = out);
}

static void add_mount_point(struct plan *plan, const char *path, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = path, .number = 1, .uid = owner, .gid = owner);
}

static void plan_proc(const struct spec *spec, struct plan *plan)
{
	add_fs(plan, "proc", "/proc", PLAN_SLOT_PROC);
	for (size_t i = 0; i < ARRAY_SIZE(proc_read_only); i++)
		PLAN_ADD(plan, .kind = PLAN_OP_BIND_RO, .stage = PLAN_STAGE_INNER,
			 .at = PLAN_SLOT_PROC, .path = proc_read_only[i], .is_optional = true);
	if (spec->private_network)
		PLAN_ADD(plan, .kind = PLAN_OP_BIND_RW, .stage = PLAN_STAGE_INNER,
			 .at = PLAN_SLOT_PROC, .path = "sys/net", .is_optional = true);
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_NODE, .stage = PLAN_STAGE_INNER,
		 .at = PLAN_SLOT_RUN_HOST, .path = "inaccessible/reg", .out = PLAN_SLOT_BLANK);
	for (size_t i = 0; i < ARRAY_SIZE(proc_hidden); i++)
		PLAN_ADD(plan, .kind = PLAN_OP_MASK, .stage = PLAN_STAGE_INNER,
			 .at = PLAN_SLOT_PROC, .path = proc_hidden[i], .in = PLAN_SLOT_BLANK,
			 .is_optional = true);
}

/*
 * sysfs shows the network of who mounts it, and only the owner of that may mount it: with the
 * host's network the host's own is bound instead, and of a namespace that is joined the supervisor
 * makes one. Read-only is what tells a guest not to run udev.
 */
static void plan_sys(const struct spec *spec, struct plan *plan)
{
	if (spec->private_network && !spec->netns_path) {
		/* mount(2) would make the file system read-only, for all who mount it. */
		PLAN_ADD(plan, .kind = PLAN_OP_NEW_FS, .stage = PLAN_STAGE_INNER, .source = "sysfs",
			 .flags = API_ATTRIBUTES | MOUNT_ATTR_RDONLY, .out = PLAN_SLOT_SYS);
		PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_INNER,
			 .in = PLAN_SLOT_SYS, .at = PLAN_SLOT_ROOT, .path = "/sys");
		return;
	}
	if (spec->netns_path)
		PLAN_ADD(plan, .kind = PLAN_OP_NEW_FS, .stage = PLAN_STAGE_SETUP, .source = "sysfs",
			 .ns = PLAN_SLOT_NETNS, .out = PLAN_SLOT_SYS);
	else
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_CWD, .source = "/sys", .out = PLAN_SLOT_SYS);
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_SYS,
		 .number = API_ATTRIBUTES | MOUNT_ATTR_RDONLY);
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_SYS,
		 .at = PLAN_SLOT_ROOT, .path = "/sys");
}

static void apivfs_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	add_mount_point(plan, "/proc", facts->uid_shift);
	add_mount_point(plan, "/sys", facts->uid_shift);
	/* Found anew beneath the copied tree: the supervisor's mount is of another namespace. */
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_DIR, .stage = PLAN_STAGE_INNER, .at = PLAN_SLOT_ROOT,
		 .path = "/run/host", .out = PLAN_SLOT_RUN_HOST);
	plan_sys(spec, plan);
	plan_proc(spec, plan);
	if (facts->has_cgroup)
		add_fs(plan, "cgroup2", "/sys/fs/cgroup", PLAN_SLOT_NONE);
	add_fs(plan, "mqueue", "/dev/mqueue", PLAN_SLOT_NONE);
}

const struct host_module host_module_apivfs = {
	.name = "apivfs",
	.plan = apivfs_plan,
};
