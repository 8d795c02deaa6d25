/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc, /sys, the cgroup tree and the message queues. Each shows the namespaces of the process
 * that mounts it, so a child in the machine's namespaces mounts them. It does so in the
 * supervisor's mount namespace: then PID 1's copy of them, and of what hides parts of them, is
 * locked (decision 0018). PID 1 must never mount them itself. What is hidden or read-only is
 * systemd-nspawn's list, and, where the host's root is a user of the machine, also what the
 * kernel's permission checks hide from other users. Source: the container interface of systemd;
 * mount_namespaces(7). Supervisor's side.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "host/host.h"
#include "lib/macro.h"

#define API_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static const char *const proc_read_only[] = {
	"sys", "acpi", "apm", "asound", "bus", "dynamic_debug", "fs", "irq", "scsi",
};
static const char *const proc_hidden[] = {
	"kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list",
};
/* Files of mode 0400 about the host's memory, and the tables of its firmware. */
static const char *const proc_hidden_from_root[] = {
	"allocinfo", "kpagecgroup",  "kpagecount", "kpageflags",
	"mtrr",	     "pagetypeinfo", "slabinfo",   "vmallocinfo",
};
static const char *const sys_hidden_from_root[] = {"firmware"};

/* The folders of /proc/sys/net in a network namespace other than the host's. */
static const char *const net_writable[] = {
	"sys/net/bridge", "sys/net/core",      "sys/net/ipv4", "sys/net/ipv6", "sys/net/mpls",
	"sys/net/mptcp",  "sys/net/netfilter", "sys/net/sctp", "sys/net/unix",
};

bool host_root_is_a_user(const struct host_facts *facts)
{
	return !facts->has_user_namespace || facts->uid_shift == 0;
}

bool host_root_is_administrator(const struct host_facts *facts)
{
	return facts->has_user_namespace && facts->uid_shift == 0;
}

/*
 * The only file below /proc/sys/net of a network namespace that belongs to the whole host. Before
 * 6.10 it appears when connection tracking is loaded, which others may do at any time. Until then
 * the whole folder is covered.
 */
static int apivfs_prepare(struct host *host)
{
	const char **path = &host->facts.sysctl_of_host;

	*path = NULL;
	if (access("/proc/sys/net/netfilter/nf_hooks_lwtunnel", F_OK) == 0)
		*path = "sys/net/netfilter/nf_hooks_lwtunnel";
	else if (access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) < 0)
		*path = "sys/net/netfilter";
	return 0;
}

static void add_fs(struct plan *plan, const char *type, const char *path, enum plan_slot out)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_VIEWS, .source = type,
		 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC, .at = PLAN_SLOT_ROOT, .path = path,
		 .out = out);
}

static void add_mount_point(struct plan *plan, const char *path, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = path, .number = 1, .uid = owner, .gid = owner);
}

/* Optional: the kernel, or an outer container, may not have the file. */
static void add_read_only(struct plan *plan, const char *path)
{
	PLAN_ADD(plan, .kind = PLAN_OP_BIND_RO, .stage = PLAN_STAGE_VIEWS, .at = PLAN_SLOT_PROC,
		 .path = path, .is_optional = true);
}

static void add_masks(struct plan *plan, enum plan_slot at, const char *const *paths, size_t count,
		      enum plan_slot blank)
{
	for (size_t i = 0; i < count; i++)
		PLAN_ADD(plan, .kind = PLAN_OP_MASK, .stage = PLAN_STAGE_VIEWS, .at = at,
			 .path = paths[i], .in = blank, .is_optional = true);
}

static void add_writable(struct plan *plan, const char *path)
{
	PLAN_ADD(plan, .kind = PLAN_OP_BIND_RW, .stage = PLAN_STAGE_VIEWS, .at = PLAN_SLOT_PROC,
		 .path = path, .is_optional = true);
}

/*
 * /proc/sys/net shows each process its own network namespace, and each namespace has folders of its
 * own there: a mount on one of them counts in the machine's namespace only. So only these folders
 * become writable; otherwise a namespace made inside would show the host-wide setting again. With
 * shifted users that gains nothing, since a namespace made inside can mount an uncovered procfs.
 */
static void plan_net(const struct host_facts *facts, struct plan *plan)
{
	if (host_root_is_a_user(facts))
		for (size_t i = 0; i < ARRAY_SIZE(net_writable); i++)
			add_writable(plan, net_writable[i]);
	else
		add_writable(plan, "sys/net");
	if (facts->sysctl_of_host)
		add_read_only(plan, facts->sysctl_of_host);
}

static void plan_proc(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	add_fs(plan, "proc", "/proc", PLAN_SLOT_PROC);
	for (size_t i = 0; i < ARRAY_SIZE(proc_read_only); i++)
		add_read_only(plan, proc_read_only[i]);
	if (spec->private_network)
		plan_net(facts, plan);
	add_masks(plan, PLAN_SLOT_PROC, proc_hidden, ARRAY_SIZE(proc_hidden), PLAN_SLOT_BLANK);
	if (host_root_is_a_user(facts))
		add_masks(plan, PLAN_SLOT_PROC, proc_hidden_from_root,
			  ARRAY_SIZE(proc_hidden_from_root), PLAN_SLOT_BLANK);
}

/*
 * A sysfs shows the network namespace of the process that mounts it, and only the owner of that
 * namespace may mount it. So a machine in the host's network gets a bind of the host's. A guest
 * that finds /sys read-only doesn't run udev.
 */
static void plan_sys(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (spec->private_network) {
		/* mount(2) would make the file system itself read-only, for all its mounts. */
		PLAN_ADD(plan, .kind = PLAN_OP_NEW_FS, .stage = PLAN_STAGE_VIEWS, .source = "sysfs",
			 .flags = API_ATTRIBUTES | MOUNT_ATTR_RDONLY, .out = PLAN_SLOT_SYS);
		PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_VIEWS,
			 .in = PLAN_SLOT_SYS, .at = PLAN_SLOT_ROOT, .path = "/sys");
	} else {
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_CWD, .source = "/sys", .out = PLAN_SLOT_SYS);
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_SYS, .number = API_ATTRIBUTES | MOUNT_ATTR_RDONLY);
		PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_SYS, .at = PLAN_SLOT_ROOT, .path = "/sys");
	}
	if (host_root_is_a_user(facts))
		add_masks(plan, PLAN_SLOT_SYS, sys_hidden_from_root,
			  ARRAY_SIZE(sys_hidden_from_root), PLAN_SLOT_BLANK_DIR);
}

/* Optional: if redd runs in a container itself, the kernel may refuse it. */
static void add_whole(struct plan *plan, const char *type, const char *path)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_VIEWS, .source = type,
		 .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC, .at = PLAN_SLOT_RUN_HOST, .path = path,
		 .is_optional = true);
}

/*
 * The kernel lets a container inside mount a procfs or sysfs only if the machine has one that is
 * not covered in part. These lie where no user of the machine can go. They reveal nothing that the
 * masks hide, since the files' own permissions keep shifted users out.
 */
static void plan_whole(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (host_root_is_a_user(facts))
		return;
	add_whole(plan, "proc", "/" HOST_WHOLE_DIR "/proc");
	if (spec->private_network)
		add_whole(plan, "sysfs", "/" HOST_WHOLE_DIR "/sys");
}

static void plan_namespaces(const struct spec *spec, const struct host_facts *facts,
			    struct plan *plan)
{
	bool is_born_there = facts->has_cgroup && host_root_is_administrator(facts);

	PLAN_ADD(plan, .kind = PLAN_OP_JOIN, .stage = PLAN_STAGE_VIEWS, .in = PLAN_SLOT_LEADER,
		 .flags = CLONE_NEWIPC | (spec->private_network ? CLONE_NEWNET : 0) |
			  (is_born_there ? CLONE_NEWCGROUP : 0));
	/* PID 1 may not be in it yet. */
	if (facts->has_cgroup && !is_born_there)
		PLAN_ADD(plan, .kind = PLAN_OP_JOIN, .stage = PLAN_STAGE_VIEWS,
			 .in = PLAN_SLOT_CGROUPNS, .flags = CLONE_NEWCGROUP);
}

static void plan_blanks(const struct host_facts *facts, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_NODE, .stage = PLAN_STAGE_VIEWS,
		 .at = PLAN_SLOT_RUN_HOST, .path = "inaccessible/reg", .out = PLAN_SLOT_BLANK);
	if (host_root_is_a_user(facts))
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_NODE, .stage = PLAN_STAGE_VIEWS,
			 .at = PLAN_SLOT_RUN_HOST, .path = "inaccessible/dir",
			 .out = PLAN_SLOT_BLANK_DIR);
}

static void apivfs_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	add_mount_point(plan, "/proc", facts->uid_shift);
	add_mount_point(plan, "/sys", facts->uid_shift);
	plan_namespaces(spec, facts, plan);
	plan_blanks(facts, plan);
	plan_sys(spec, facts, plan);
	plan_proc(spec, facts, plan);
	plan_whole(spec, facts, plan);
	if (facts->has_cgroup)
		add_fs(plan, "cgroup2", "/sys/fs/cgroup", PLAN_SLOT_NONE);
	add_fs(plan, "mqueue", "/dev/mqueue", PLAN_SLOT_NONE);
}

const struct host_module host_module_apivfs = {
	.name = "apivfs",
	.prepare = apivfs_prepare,
	.plan = apivfs_plan,
};
