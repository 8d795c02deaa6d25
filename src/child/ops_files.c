/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file ops: mount points, and the content of file systems that the plan made. They run in the
 * supervisor, before PID 1 exists, with the owner's identity and no umask. Must never follow a link
 * out of the tree.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "child/child.h"
#include "kernel/sys.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/path.h"

/* openat2() gives up on ".." if anything on the system is renamed meanwhile, so try again. */
#define RESOLVE_RETRIES 128

/* A link in place of /proc, /sys or /dev would redirect our own mounts (CVE-2019-19921). */
static int refuse_link(int root, const char *path)
{
	struct stat st;

	if (fstatat(root, path + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTDIR;
	return 0;
}

/*
 * Makes something in the tree, following the guest's links. The mount of the tree itself belongs to
 * the guest. Any other mount in it may be a folder of the host, and a link of the guest may lead
 * there, so across a mount only what the guest's root may do itself is done (P14). Attaching a
 * mount on something that exists needs no such care: only the guest sees it.
 */
static int make(struct child_context *context, const struct plan_op *op, child_make_fn fn)
{
	struct path_making how = {.uid = op->uid, .gid = op->gid, .one_mount = true};
	int r = fn(context, op, how);

	if (r != -EXDEV)
		return r;
	if (context->slots[PLAN_SLOT_USERNS] >= 0)
		return child_make_as_guest(context, op, fn);
	how.one_mount = false;
	return fn(context, op, how);
}

static int make_dir(struct child_context *context, const struct plan_op *op, struct path_making how)
{
	int r = op->number ? refuse_link(context->slots[op->at], op->path) : 0;
	autoclose int fd = r < 0 ? r : path_make_dir_in_root(context->slots[op->at], op->path, how);

	return MIN(fd, 0);
}

static bool dir_exists(struct child_context *context, const struct plan_op *op)
{
	int r = op->number ? refuse_link(context->slots[op->at], op->path) : 0;
	autoclose int fd = r < 0 ? r : child_open_in_root(context, op, O_PATH | O_DIRECTORY);

	return fd >= 0;
}

int child_op_MKDIR(struct child_context *context, const struct plan_op *op)
{
	/* Most images have the directory. */
	return dir_exists(context, op) ? 0 : make(context, op, make_dir);
}

static int make_file(struct child_context *context, const struct plan_op *op,
		     struct path_making how)
{
	autoclose int fd = path_make_file_in_root(context->slots[op->at], op->path, how);

	return MIN(fd, 0);
}

int child_op_MKFILE(struct child_context *context, const struct plan_op *op)
{
	autoclose int fd = child_open_in_root(context, op, O_PATH);
	struct stat st;

	if (fd < 0)
		return make(context, op, make_file);
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

/*
 * The ops below use paths in a file system that only the plan has written to: plan_verify() proves
 * that.
 */

int child_op_NEW_DIR(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(mkdirat(context->slots[op->at], op->path, op->mode));
}

int child_op_MKNOD(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(
		mknodat(context->slots[op->at], op->path, op->mode, (dev_t)op->number));
}

int child_op_SYMLINK(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(symlinkat(op->data, context->slots[op->at], op->path));
}

/* Makes a new link and renames it, so that the name exists at any time. */
static int replace_link(int dir, const char *name, const char *target)
{
	static const char temporary[] = ".redd-new-link";
	char old[PATH_MAX];
	ssize_t n = readlinkat(dir, name, old, sizeof(old));

	if (n == (ssize_t)strlen(target) && memcmp(old, target, (size_t)n) == 0)
		return 0;
	(void)unlinkat(dir, temporary, 0);
	if (symlinkat(target, dir, temporary) < 0)
		return -errno;
	return (int)SYS_RESULT(renameat(dir, temporary, dir, name));
}

static int make_link(struct child_context *context, const struct plan_op *op,
		     struct path_making how)
{
	autoclose int dir = path_make_dir_in_root(context->slots[op->at], op->path, how);

	return dir < 0 ? dir : replace_link(dir, op->source, op->data);
}

int child_op_LINK(struct child_context *context, const struct plan_op *op)
{
	return make(context, op, make_link);
}

int child_op_WRITE(struct child_context *context, const struct plan_op *op)
{
	autoclose int fd = openat(context->slots[op->at], op->path,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, op->mode);

	return fd < 0 ? -errno : io_write_all(fd, op->data, strlen(op->data));
}

/*
 * The ops below work on one name in a directory of the image. They stay on the image's own mount,
 * since other mounts belong to somebody else, and follow no link at the name itself.
 */

static int open_parent(struct child_context *context, const struct plan_op *op, const char **ret)
{
	const char *name = strrchr(op->path, '/') + 1;
	char parent[256];
	size_t size = (size_t)(name - op->path);
	int fd = -EAGAIN;

	if (size >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, op->path, size);
	parent[size] = '\0';
	for (int i = 0; fd == -EAGAIN && i < RESOLVE_RETRIES; i++)
		fd = sys_openat2(context->slots[op->at], parent, O_PATH | O_DIRECTORY | O_CLOEXEC,
				 0, RESOLVE_IN_ROOT | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
	if (fd >= 0)
		*ret = name;
	return fd;
}

/* Removes a directory only if it is empty. */
static int remove_name(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	return -errno;
}

/* Writes a new file and renames it: another hard link to the old one keeps its content. */
static int replace_file(int dir, const char *name, const struct plan_op *op)
{
	static const char temporary[] = ".redd-new-file";
	autoclose int fd = -1;
	int r = remove_name(dir, temporary);

	if (r < 0)
		return r;
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, op->mode);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, op->data, strlen(op->data));
	/* The mode again, since a caller outside of a start may have a umask. */
	if (r >= 0 && (fchmod(fd, op->mode) < 0 || renameat(dir, temporary, dir, name) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, temporary, 0);
	return r;
}

static bool has_content(int dir, const char *name, const struct stat *st, const char *data)
{
	size_t size = strlen(data), done = 0;
	char piece[4096];
	autoclose int fd = -1;

	if (st->st_size != (off_t)size)
		return false;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	while (fd >= 0 && done < size) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n <= 0 || (size_t)n > size - done || memcmp(piece, data + done, (size_t)n) != 0)
			return false;
		done += (size_t)n;
	}
	return done == size && fd >= 0;
}

static int put_file(int dir, const char *name, const struct plan_op *op)
{
	bool replaces = op->number != 0;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? replace_file(dir, name, op) : -errno;
	/* Don't write to an image that has the content already. */
	if (S_ISREG(st.st_mode) && has_content(dir, name, &st, op->data))
		return 0;
	if (S_ISLNK(st.st_mode) && !replaces)
		return 0;
	if (S_ISDIR(st.st_mode) && replaces && unlinkat(dir, name, AT_REMOVEDIR) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !replaces)
		return S_ISDIR(st.st_mode) ? -EISDIR : -EEXIST;
	return replace_file(dir, name, op);
}

int child_op_PUT_FILE(struct child_context *context, const struct plan_op *op)
{
	const char *name = NULL;
	autoclose int dir = open_parent(context, op, &name);

	return dir < 0 ? dir : put_file(dir, name, op);
}

int child_op_DELETE(struct child_context *context, const struct plan_op *op)
{
	const char *name = NULL;
	autoclose int dir = open_parent(context, op, &name);

	return dir < 0 ? dir : remove_name(dir, name);
}
