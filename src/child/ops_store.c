/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops for a shared Nix store. A closure has hundreds of paths, so one op handles all of them.
 * They run in the supervisor, before PID 1 exists. Must never write to the host's store.
 *
 * One mount per path would slow down every operation of the guest's systemd on mounts. So all paths
 * are one read-only overlay. Its upper layer is a tmpfs with an opaque folder "s", which holds an
 * empty entry for each path; the entry redirects to the same name in the root of the lower layer,
 * the host's store. The guest gets "s". Source: the kernel's
 * Documentation/filesystems/overlayfs.rst, "redirect_dir" and "Metadata only copy up".
 * If the kernel or the store's file system can't do that, each path is bound into a tmpfs.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "child/child.h"
#include "kernel/sys.h"

/* All files of a Nix store have this time. */
static const struct timespec store_times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

/* "/NAME": an absolute redirect starts at the root of the lower layer. */
static int lead_to(int fd, const char *name)
{
	char path[NAME_MAX + 2] = "/";
	size_t size = strlen(name);

	if (size > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(path + 1, name, size + 1);
	return (int)SYS_RESULT(fsetxattr(fd, "trusted.overlay.redirect", path, size + 1, 0));
}

static int make_view_of_file(int dir, const struct plan_store_path *path, int *ret_fd)
{
	int fd =
		openat(dir, path->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	/* The attributes are in this layer, the content is in the lower one. */
	if (ftruncate(fd, (off_t)path->size_bytes) < 0 || fchmod(fd, path->mode) < 0 ||
	    fsetxattr(fd, "trusted.overlay.metacopy", "", 0, 0) < 0)
		return -errno;
	return 0;
}

static int make_view_of_dir(int dir, const struct plan_store_path *path, int *ret_fd)
{
	int fd;

	if (mkdirat(dir, path->name, 0555) < 0)
		return -errno;
	fd = openat(dir, path->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int make_link(int dir, const struct plan_store_path *path, const struct plan_op *op)
{
	if (symlinkat(path->link, dir, path->name) < 0 ||
	    fchownat(dir, path->name, op->uid, op->uid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int make_view_of(int dir, const struct plan_store_path *path, const struct plan_op *op)
{
	int fd = -1;
	int r;

	if (path->link)
		return make_link(dir, path, op);
	r = path->is_file ? make_view_of_file(dir, path, &fd) : make_view_of_dir(dir, path, &fd);
	if (r >= 0)
		r = lead_to(fd, path->name);
	if (r >= 0 &&
	    ((op->uid && fchown(fd, op->uid, op->uid) < 0) || futimens(fd, store_times) < 0))
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int make_view_root(int dir, const struct plan_op *op)
{
	int fd;

	if (mkdirat(dir, PLAN_STORE_VIEW, 0700) < 0)
		return -errno;
	fd = openat(dir, PLAN_STORE_VIEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fchown(fd, op->uid, op->gid) < 0 || fchmod(fd, op->mode) < 0 ||
	    fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0) {
		(void)close(fd);
		return -errno;
	}
	return fd;
}

int child_op_STORE_VIEW(struct child_context *context, const struct plan_op *op)
{
	const struct plan_store_path *paths = op->blob;
	int dir = make_view_root(context->slots[op->at], op);
	int r = dir < 0 ? dir : 0;

	for (size_t i = 0; i < op->blob_count && r >= 0; i++) {
		context->current_item = i;
		r = make_view_of(dir, &paths[i], op);
	}
	if (dir >= 0)
		(void)close(dir);
	return r;
}

static int make_mount_point(int dir, const struct plan_store_path *path, const struct plan_op *op)
{
	if (path->link)
		return make_link(dir, path, op);
	if (path->is_file)
		return (int)SYS_RESULT(mknodat(dir, path->name, S_IFREG | 0444, 0));
	return (int)SYS_RESULT(mkdirat(dir, path->name, 0555));
}

static int bind_path(int store, int dir, const char *name)
{
	int tree = sys_open_tree(store, name,
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	int r;

	if (tree < 0)
		return tree;
	r = sys_move_mount(tree, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH);
	(void)close(tree);
	return r;
}

int child_op_STORE_BINDS(struct child_context *context, const struct plan_op *op)
{
	const struct plan_store_path *paths = op->blob;
	int dir = context->slots[op->at];

	for (size_t i = 0; i < op->blob_count; i++) {
		int r = make_mount_point(dir, &paths[i], op);

		if (r >= 0 && !paths[i].link)
			r = bind_path(context->slots[op->in], dir, paths[i].name);
		if (r < 0) {
			context->current_item = i;
			return r;
		}
	}
	return 0;
}

/*
 * When a mount namespace is copied for another user namespace the kernel locks the flags of its
 * mounts, and copies of such a mount stay locked. So a child creates both namespaces, copies the
 * mount there, and leaves the descriptor in the table that it shares with us. From then on not even
 * root of the initial user namespace can make the mounts writable.
 * Source: mount_namespaces(7), "Restrictions on mount namespaces".
 */
int child_op_LOCK_TREE(struct child_context *context, const struct plan_op *op)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_FILES,
		.exit_signal = SIGCHLD,
	};
	int ends[2];
	int tree = -ECHILD;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = sys_clone3(&args, sizeof(args));
	if (pid == 0) {
		tree = sys_open_tree(AT_FDCWD, op->path,
				     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		(void)!write(ends[1], &tree, sizeof(tree));
		_exit(0);
	}
	if (pid < 0)
		tree = pid;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && read(ends[0], &tree, sizeof(tree)) != sizeof(tree))
		tree = -ECHILD;
	(void)close(ends[0]);
	(void)close(ends[1]);
	if (tree < 0)
		return tree;
	child_set_slot(context, op->out, tree);
	return 0;
}
