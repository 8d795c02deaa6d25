/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /run, /tmp, and /run/host, which tells the guest where it runs and has the socket on which it
 * reports that it is ready. Source: systemd's container interface. Supervisor's side.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "host/host.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

#define MACHINE_ID_MAX 64
/* Guests test for this name: doc/decisions/0005-container-variable.md. */
#define CONTAINER_MANAGER "systemd-nspawn"

static const struct {
	const char *name;
	mode_t type;
} inaccessible[] = {
	{"reg", S_IFREG}, {"fifo", S_IFIFO}, {"sock", S_IFSOCK}, {"chr", S_IFCHR}, {"blk", S_IFBLK},
};

static void format_id(const uint8_t id[16], char ret[33])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		ret[2 * i] = digits[id[i] >> 4];
		ret[2 * i + 1] = digits[id[i] & 15];
	}
	ret[32] = '\0';
}

/* 0 if `text` is a machine id; "uninitialized" and the like are not. */
static int take_id(char *text, char ret[33])
{
	uint8_t id[16];
	int r = parse_id128(str_strip(text), id);

	if (r >= 0)
		format_id(id, ret);
	return r;
}

/* Many hosts have none. Then nothing is derived from it. */
void host_read_id(struct host_facts *facts)
{
	autofree char *text = NULL;

	if (io_read_file_at(AT_FDCWD, "/etc/machine-id", MACHINE_ID_MAX, &text, NULL) >= 0)
		(void)take_id(text, facts->host_id);
}

static int choose_uuid(struct host *host)
{
	autofree char *text = NULL;
	uint8_t id[16];

	if (host->spec->uuid_set) {
		format_id(host->spec->uuid, host->facts.uuid);
		return 0;
	}
	/* An ephemeral copy is a different machine from the image it was made of. */
	if (!host->spec->ephemeral &&
	    path_read_in_root(host->slots[PLAN_SLOT_IMAGE], "/etc/machine-id", MACHINE_ID_MAX,
			      &text, NULL) >= 0 &&
	    take_id(text, host->facts.uuid) >= 0)
		return 0;
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return log_errno(-EIO, "get random bytes for the machine's id");
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	format_id(id, host->facts.uuid);
	return 0;
}

static void read_host_os(struct host_facts *facts)
{
	autofree char *copy = NULL;

	if (io_read_file_at(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &facts->host_os_release,
			    NULL) < 0 &&
	    io_read_file_at(AT_FDCWD, "/usr/lib/os-release", OS_RELEASE_MAX,
			    &facts->host_os_release, NULL) < 0)
		return;
	copy = strdup(facts->host_os_release);
	if (copy)
		(void)os_release_parse(copy, &facts->host_os);
}

static void read_image_os(struct host *host)
{
	auto_os_release struct os_release os = {};
	const char *pretty;

	if (os_release_read(host->slots[PLAN_SLOT_IMAGE], &os) < 0)
		return;
	pretty = os_release_pretty(&os);
	host->facts.image_os = pretty ? strdup(pretty) : NULL;
}

static int rundir_prepare(struct host *host)
{
	read_host_os(&host->facts);
	read_image_os(host);
	return choose_uuid(host);
}

static void add_tmpfs(struct plan *plan, const char *path, const char *options, enum plan_slot out)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MOUNT_FS, .stage = PLAN_STAGE_SETUP, .source = "tmpfs",
		 .data = options, .flags = MS_NOSUID | MS_NODEV, .at = PLAN_SLOT_ROOT, .path = path,
		 .out = out);
}

static void add_file(struct plan *plan, const char *name, const char *content, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_WRITE, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_RUN_HOST,
		 .path = name, .data = content, .mode = 0444, .uid = owner, .gid = owner);
}

static void add_dir(struct plan *plan, enum plan_slot at, const char *path, uint32_t owner)
{
	PLAN_ADD(plan, .kind = PLAN_OP_NEW_DIR, .stage = PLAN_STAGE_SETUP, .at = at, .path = path,
		 .mode = 0755, .uid = owner, .gid = owner);
}

/* Nodes that nobody can open, which are bound over others to hide them. */
static void add_inaccessible(struct plan *plan, uint32_t owner)
{
	add_dir(plan, PLAN_SLOT_RUN_HOST, "inaccessible", owner);
	add_dir(plan, PLAN_SLOT_RUN_HOST, "inaccessible/dir", owner);
	for (size_t i = 0; i < ARRAY_SIZE(inaccessible); i++)
		/* The device filter of an outer container may refuse the two devices. */
		PLAN_ADD(plan, .kind = PLAN_OP_MKNOD, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_RUN_HOST,
			 .path = plan_printf(plan, "inaccessible/%s", inaccessible[i].name),
			 .mode = inaccessible[i].type, .number = 0, .uid = owner, .gid = owner,
			 .is_optional = true);
}

/* Owned by the host's root, so no user of the machine can enter them. */
static void add_whole(const struct spec *spec, struct plan *plan)
{
	static const char *const paths[] = {HOST_WHOLE_DIR, HOST_WHOLE_DIR "/proc",
					    HOST_WHOLE_DIR "/sys"};

	for (size_t i = 0; i < ARRAY_SIZE(paths) - !spec->private_network; i++)
		PLAN_ADD(plan, .kind = PLAN_OP_NEW_DIR, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_RUN_HOST, .path = paths[i], .mode = 0);
}

static void plan_run_host(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	uint32_t owner = facts->uid_shift;
	const char *resolv = resolv_plan_shadow(spec, facts, plan);

	add_dir(plan, PLAN_SLOT_RUN, "host", owner);
	add_tmpfs(plan, "/run/host",
		  plan_printf(plan, "mode=0755,size=4m,nr_inodes=1k,uid=%u,gid=%u", owner, owner),
		  PLAN_SLOT_RUN_HOST);
	add_inaccessible(plan, owner);
	if (!host_root_is_a_user(facts))
		add_whole(spec, plan);
	add_file(plan, "container-manager", CONTAINER_MANAGER "\n", owner);
	add_file(plan, "container-uuid", plan_printf(plan, "%s\n", facts->uuid), owner);
	if (facts->host_os_release)
		add_file(plan, "os-release", plan_str(plan, facts->host_os_release), owner);
	if (resolv)
		add_file(plan, "resolv.conf", resolv, owner);
	if (spec->start == SPEC_START_BOOT || spec->notify_ready > 0)
		PLAN_ADD(plan, .kind = PLAN_OP_HOST, .stage = PLAN_STAGE_SETUP, .path = "rundir",
			 .data = "notify socket");
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_RUN_HOST,
		 .number = MOUNT_ATTR_RDONLY);
}

static void rundir_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	uint32_t owner = facts->uid_shift;

	for (int i = 0; i < 2; i++)
		PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_ROOT, .path = i ? "/tmp" : "/run", .uid = owner,
			 .gid = owner);
	add_tmpfs(
		plan, "/run",
		plan_printf(plan, "mode=0755,size=20%%,nr_inodes=800k,uid=%u,gid=%u", owner, owner),
		PLAN_SLOT_RUN);
	add_tmpfs(plan, "/tmp",
		  plan_printf(plan, "mode=1777,size=10%%,nr_inodes=1m,uid=%u,gid=%u", owner, owner),
		  PLAN_SLOT_NONE);
	plan_run_host(spec, facts, plan);
}

static int bind_socket(int fd, int dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/notify", dir);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* Only the guest's root may write to it; READY=1 counts only from PID 1. */
static int rundir_attach(struct host *host)
{
	int dir = host->slots[PLAN_SLOT_RUN_HOST];
	uint32_t shift = host->facts.uid_shift;
	int on = 1;
	int r;
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return log_errno(-errno, "make the notification socket");
	r = bind_socket(fd, dir);
	if (r >= 0 && (fchmodat(dir, "notify", 0600, 0) < 0 ||
		       fchownat(dir, "notify", shift, shift, AT_SYMLINK_NOFOLLOW) < 0 ||
		       setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0))
		r = -errno;
	if (r < 0)
		return log_errno(r, "make the notification socket of machine %s",
				 host->spec->machine);
	host->notify_fd = take_fd(&fd);
	return 0;
}

static void rundir_undo(struct host *host)
{
	if (host->notify_fd >= 0)
		(void)close(take_fd(&host->notify_fd));
}

static void rundir_done(struct host_facts *facts)
{
	free(facts->host_os_release);
	os_release_done(&facts->host_os);
	free(facts->image_os);
}

const struct host_module host_module_rundir = {
	.name = "rundir",
	.prepare = rundir_prepare,
	.plan = rundir_plan,
	.attach = rundir_attach,
	.undo = rundir_undo,
	.done = rundir_done,
};
