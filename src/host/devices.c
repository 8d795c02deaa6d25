/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev: a tmpfs with the nodes that every program expects, and no hardware of the host. It is made
 * with the host's privilege, so that the nodes work inside a user namespace; the device filter
 * decides what may be opened. Source: the container interface of systemd. Supervisor's side.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "host/host.h"
#include "lib/macro.h"

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{"null", 1, 3},	  {"zero", 1, 5},    {"full", 1, 7},
	{"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
	const char *name, *target;
} links[] = {
	{"ptmx", "pts/ptmx"},	       {"fd", "/proc/self/fd"},	      {"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
};

static const char *const directories[] = {"pts", "shm", "mqueue", "net"};

#define MINOR_TUN makedev(10, 200)
#define MINOR_FUSE makedev(10, 229)

static int devices_prepare(struct host *host)
{
	host->facts.has_tun = access("/dev/net/tun", F_OK) == 0;
	host->facts.has_fuse = access("/dev/fuse", F_OK) == 0;
	return 0;
}

static void add_node(struct plan *plan, const char *name, uint64_t device, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MKNOD, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_DEV,
		 .path = name, .mode = S_IFCHR | 0666, .number = device, .uid = owner,
		 .gid = owner);
}

static void add_shm(struct plan *plan, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_SETUP, .source = "tmpfs",
		 .data = plan_printf(plan, "mode=1777,%s,%s,uid=%u,gid=%u", HOST_TMPFS_SIZE,
				     HOST_TMPFS_INODES, owner, owner),
		 .flags = MS_NOSUID | MS_NODEV, .at = PLAN_SLOT_ROOT, .path = "/dev/shm");
}

static void add_tree(struct plan *plan, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = "/dev", .uid = owner, .gid = owner, .number = 1);
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_SETUP, .source = "tmpfs",
		 .data = plan_printf(plan, "mode=0755,size=4m,nr_inodes=64k,uid=%u,gid=%u", owner,
				     owner),
		 .flags = MS_NOSUID | MS_NOEXEC, .at = PLAN_SLOT_ROOT, .path = "/dev",
		 .out = PLAN_SLOT_DEV);
}

static void devices_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	uint32_t owner = facts->uid_shift;

	add_tree(plan, owner);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		PLAN_ADD(plan, .kind = PLAN_OP_NEW_DIR, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_DEV, .path = directories[i], .mode = 0755, .uid = owner,
			 .gid = owner);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		add_node(plan, nodes[i].name, makedev(nodes[i].major, nodes[i].minor), owner);
	if (facts->has_tun)
		add_node(plan, "net/tun", MINOR_TUN, owner);
	if (facts->has_fuse)
		add_node(plan, "fuse", MINOR_FUSE, owner);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		PLAN_ADD(plan, .kind = PLAN_OP_SYMLINK, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_DEV, .path = links[i].name, .data = links[i].target,
			 .uid = owner, .gid = owner);
	if (spec->console != SPEC_CONSOLE_PIPE)
		PLAN_ADD(plan, .kind = PLAN_OP_WRITE, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_DEV, .path = "console", .data = "", .mode = 0644,
			 .uid = owner, .gid = owner);
	add_shm(plan, owner);
}

const struct host_module host_module_devices = {
	.name = "devices",
	.prepare = devices_prepare,
	.plan = devices_plan,
};
