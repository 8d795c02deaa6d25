/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount ops. They run in the supervisor and in PID 1 before exec; system calls only. Must never
 * resolve a path of the image by name alone: always inside a slot's descriptor, with links resolved
 * as if that were "/", and magic links refused (P01-P06).
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "child/child.h"
#include "kernel/sys.h"
#include "lib/cleanup.h"

/* openat2() gives up on ".." if anything on the system is renamed meanwhile, so try again. */
#define RESOLVE_RETRIES 128

int child_open_in_root(struct child_context *context, const struct plan_op *op, int flags)
{
	int fd = -EAGAIN;

	for (int i = 0; fd == -EAGAIN && i < RESOLVE_RETRIES; i++)
		fd = sys_openat2(context->slots[op->at], op->path, (uint64_t)flags | O_CLOEXEC, 0,
				 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	return fd;
}

static int store_fd(struct child_context *context, const struct plan_op *op, int fd)
{
	if (fd < 0)
		return fd;
	child_set_slot(context, op->out, fd);
	return 0;
}

/*
 * A copy of a shared mount (hosts with systemd share "/") is a peer of it: a mount in the copy
 * would appear in the host's tree too, and stay there.
 */
static int leave_peers(int tree, uint64_t recursive)
{
	struct mount_attr attr = {.propagation = MS_SLAVE};

	return sys_mount_setattr(tree, "", AT_EMPTY_PATH | (unsigned)recursive, &attr);
}

int child_op_OPEN_TREE(struct child_context *context, const struct plan_op *op)
{
	unsigned flags = (unsigned)op->flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	int tree, r;

	if (!op->source)
		flags |= AT_EMPTY_PATH;
	tree = sys_open_tree(context->slots[op->in], op->source ? op->source : "", flags);
	if (tree < 0)
		return tree;
	r = leave_peers(tree, op->flags & AT_RECURSIVE);
	if (r < 0) {
		(void)close(tree);
		return r;
	}
	return store_fd(context, op, tree);
}

/* Passes "key=value,flag" to fsconfig() one by one; a value must not contain a comma. */
static int configure(int fs, const char *options)
{
	char key[256];
	int r = 0;

	while (options && *options && r >= 0) {
		size_t size = strcspn(options, ",");
		char *value;

		if (size >= sizeof(key))
			return -E2BIG;
		memcpy(key, options, size);
		key[size] = '\0';
		value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		r = sys_fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value,
				 0);
		options += size + (options[size] == ',');
	}
	return r;
}

static int mount_fs(int fs, const struct plan_op *op)
{
	/* What the guest's mount table shows as the device. */
	const char *device = op->kind == PLAN_OP_OVERLAY ? "overlay" : op->source;
	int r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0);

	if (r >= 0)
		r = configure(fs, op->data);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r >= 0)
		r = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)op->flags);
	return r;
}

static int make_fs(const struct plan_op *op)
{
	int fs = sys_fsopen(op->source, FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0)
		return fs;
	mount = mount_fs(fs, op);
	(void)close(fs);
	return mount;
}

int child_op_NEW_FS(struct child_context *context, const struct plan_op *op)
{
	return store_fd(context, op, make_fs(op));
}

/* "/proc/self/fd/N", for interfaces that only take paths. */
static void format_fd_path(char path[32], int fd)
{
	static const char prefix[] = "/proc/self/fd/";
	char digits[12];
	int n = 0;

	do
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	memcpy(path, prefix, sizeof(prefix) - 1);
	path += sizeof(prefix) - 1;
	while (n > 0)
		*path++ = digits[--n];
	*path = '\0';
}

/* Two attached lower layers, and no upper one: read-only. */
static int configure_view(struct child_context *context, const struct plan_op *op, int fs)
{
	char layers[64 + 1];
	size_t size;

	format_fd_path(layers, context->slots[op->at]);
	size = strlen(layers);
	layers[size] = ':';
	format_fd_path(layers + size + 1, context->slots[op->in]);
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", layers, 0);
}

/* in: the mapped image, attached; source: our own directory with "upper" and "work" in it. */
static int configure_overlay(struct child_context *context, const struct plan_op *op, int fs)
{
	char lower[32];
	char layer[PATH_MAX];
	size_t size;
	int r;

	if (!op->source)
		return configure_view(context, op, fs);
	size = strlen(op->source);
	if (size + sizeof("/upper") > sizeof(layer))
		return -ENAMETOOLONG;
	format_fd_path(lower, context->slots[op->in]);
	r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0);
	memcpy(layer, op->source, size);
	strcpy(layer + size, "/upper");
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", layer, 0);
	strcpy(layer + size, "/work");
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", layer, 0);
	return r;
}

int child_op_OVERLAY(struct child_context *context, const struct plan_op *op)
{
	int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);
	int r;

	if (fs < 0)
		return fs;
	r = configure_overlay(context, op, fs);
	if (r >= 0)
		r = mount_fs(fs, op);
	(void)close(fs);
	return store_fd(context, op, r);
}

/*
 * The root of the file system that was just mounted on `covered`. Looking its path up again could
 * lead elsewhere: if a link in the image leads back to the root of the tree, the mount covers that
 * root. Taken as the root, a covered directory's ".." is what covers it. The result must be a new
 * file system, since later ops make files in it by their paths.
 */
static int open_mounted(int covered)
{
	struct stat below, above;
	int fd = -EAGAIN;

	for (int i = 0; fd == -EAGAIN && i < RESOLVE_RETRIES; i++)
		fd = sys_openat2(covered, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
				 RESOLVE_IN_ROOT);
	if (fd < 0)
		return fd;
	if (fstat(covered, &below) == 0 && fstat(fd, &above) == 0 && below.st_dev != above.st_dev)
		return fd;
	(void)close(fd);
	return -EXDEV;
}

/*
 * One mount(2) instead of ten calls of fsopen() and the like, which take a noticeable part of a
 * start. The target is only known by descriptor, so it becomes the working directory. Not for
 * read-only mounts: mount(2) would make the file system itself read-only.
 */
int child_op_MOUNT_FS(struct child_context *context, const struct plan_op *op)
{
	int covered = child_open_in_root(context, op, O_PATH | O_DIRECTORY);
	int r;

	if (covered < 0)
		return covered;
	r = (int)SYS_RESULT(fchdir(covered));
	if (r >= 0)
		r = (int)SYS_RESULT(
			mount(op->source, ".", op->source, (unsigned long)op->flags, op->data));
	if (r >= 0 && op->out != PLAN_SLOT_NONE)
		r = store_fd(context, op, open_mounted(covered));
	(void)close(covered);
	return r;
}

int child_op_SETATTR(struct child_context *context, const struct plan_op *op)
{
	struct mount_attr attr = {.attr_set = op->number};
	unsigned flags = AT_EMPTY_PATH | (unsigned)op->flags;

	if (op->ns != PLAN_SLOT_NONE) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)context->slots[op->ns];
	}
	return sys_mount_setattr(context->slots[op->in], "", flags, &attr);
}

int child_op_ATTACH(struct child_context *context, const struct plan_op *op)
{
	int target = child_open_in_root(context, op, O_PATH);
	int r;

	if (target < 0)
		return target;
	r = sys_move_mount(context->slots[op->in], "", target, "",
			   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	(void)close(target);
	return r;
}

int child_op_ATTACH_HOST(struct child_context *context, const struct plan_op *op)
{
	/* Only we can write to this directory of ours, so a plain path is safe. */
	return sys_move_mount(context->slots[op->in], "", context->slots[op->at], op->path,
			      MOVE_MOUNT_F_EMPTY_PATH);
}

/*
 * Follows no link: before the pivot an absolute one leads into the host's tree (P05,
 * CVE-2025-31133).
 */
static int open_own_node(int dir, const char *name, uint64_t resolve)
{
	return sys_openat2(dir, name, O_PATH | O_CLOEXEC, 0,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | resolve);
}

/*
 * Attaches the copied mount `tree`, and closes it, on the node `name` of a procfs that we have just
 * made. A name without a slash can't lead through a link there, and a final link isn't followed.
 */
static int cover(int tree, int dir, const char *name, bool read_only)
{
	struct mount_attr attr = {
		.attr_set = read_only ? MOUNT_ATTR_RDONLY : 0,
		.attr_clr = read_only ? 0 : MOUNT_ATTR_RDONLY,
	};
	unsigned flags = *name ? 0 : MOVE_MOUNT_T_EMPTY_PATH;
	int r = sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr);

	if (r >= 0)
		r = sys_move_mount(tree, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH | flags);
	(void)close(tree);
	return r;
}

static int cover_with_itself(struct child_context *context, const struct plan_op *op,
			     bool read_only)
{
	const unsigned clone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	int dir = context->slots[op->at];
	autoclose int node = -1;
	int tree;

	if (!strchr(op->path, '/')) {
		tree = sys_open_tree(dir, op->path, clone | AT_SYMLINK_NOFOLLOW);
		return tree < 0 ? tree : cover(tree, dir, op->path, read_only);
	}
	node = open_own_node(dir, op->path, 0);
	if (node < 0)
		return node;
	tree = sys_open_tree(node, "", clone | AT_EMPTY_PATH);
	return tree < 0 ? tree : cover(tree, node, "", read_only);
}

int child_op_BIND_RO(struct child_context *context, const struct plan_op *op)
{
	return cover_with_itself(context, op, true);
}

int child_op_BIND_RW(struct child_context *context, const struct plan_op *op)
{
	return cover_with_itself(context, op, false);
}

int child_op_OPEN_NODE(struct child_context *context, const struct plan_op *op)
{
	int node = open_own_node(context->slots[op->at], op->path, RESOLVE_NO_XDEV);

	/*
	 * A mount that a person asked for may cover /run/host, by way of a link in the image. Then
	 * the node isn't ours.
	 */
	return store_fd(context, op, node == -ENOENT ? -EXDEV : node);
}

int child_op_MASK(struct child_context *context, const struct plan_op *op)
{
	/* Open the target first: dropping an unused copy would cost an RCU grace period. */
	autoclose int target = open_own_node(context->slots[op->at], op->path, 0);
	int tree;

	if (target < 0)
		return target;
	tree = sys_open_tree(context->slots[op->in], "",
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return tree < 0 ? tree : cover(tree, target, "", true);
}

int child_op_PROPAGATE(struct child_context *context, const struct plan_op *op)
{
	struct mount_attr attr = {.propagation = op->number};

	return sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr);
}

int child_op_REBASE(struct child_context *context, const struct plan_op *op)
{
	/*
	 * All mounts here are locked, since they were copied from a mount namespace of the host,
	 * and a locked mount can't become the root. A copy of the tree, attached on the tree, can.
	 * What it covers stays locked with its flags: the guest can neither uncover nor remount it.
	 */
	int tree = sys_open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int r;

	if (tree < 0)
		return tree;
	r = sys_move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH);
	if (r < 0) {
		(void)close(tree);
		return r;
	}
	child_set_slot(context, op->out, tree);
	return (int)SYS_RESULT(fchdir(tree));
}

int child_op_PIVOT(struct child_context *context, const struct plan_op *op)
{
	int r = (int)SYS_RESULT(fchdir(context->slots[op->in]));

	if (r >= 0)
		r = sys_pivot_root(".", ".");
	/* The old root now lies on top of the new one, and "." is the old one. */
	if (r >= 0)
		r = (int)SYS_RESULT(umount2(".", MNT_DETACH));
	if (r >= 0)
		r = (int)SYS_RESULT(chdir("/"));
	return r;
}

int child_op_OPEN_PTY(struct child_context *context, const struct plan_op *op)
{
	struct child_report report = {.type = CHILD_REPORT_PTY};
	int unlocked = 0;
	int slave;
	int r;
	int master = sys_openat2(context->slots[op->in], "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0,
				 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (master < 0)
		return master;
	r = (int)SYS_RESULT(ioctl(master, TIOCSPTLCK, &unlocked));
	slave = r < 0 ? r
		      : (int)SYS_RESULT(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (slave >= 0) {
		child_set_slot(context, PLAN_SLOT_PTY_SLAVE, slave);
		r = child_send_report(context->slots[PLAN_SLOT_SYNC], &report, master);
	}
	(void)close(master);
	return slave < 0 ? slave : r;
}

int child_op_CONSOLE(struct child_context *context, const struct plan_op *op)
{
	/* The first pty of a new devpts is number 0. */
	int tree = sys_open_tree(context->slots[op->in], "0", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int target;
	int r;

	if (tree < 0)
		return tree;
	target = child_open_in_root(context, op, O_PATH);
	r = target < 0 ? target
		       : sys_move_mount(tree, "", target, "",
					MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	if (target >= 0)
		(void)close(target);
	(void)close(tree);
	return r;
}
