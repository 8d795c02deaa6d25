/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls as inline functions that return -errno and touch no libc state, so that they are
 * fit for the child between clone3() and execve(). No policy. Sources: the man pages of the same
 * names and include/uapi/linux.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
/* glibc has them in stdio.h, musl 1.2.3 nowhere. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* `errno` is thread state of libc; a failing call is turned into -errno at once. */
#define SYS_RESULT(call)                                                                           \
	({                                                                                         \
		long sys_r_ = (call);                                                              \
		sys_r_ < 0 ? -errno : sys_r_;                                                      \
	})

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode,
			      uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

	return (int)SYS_RESULT(syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
}

/*
 * chdir(2), but not through a magic link of procfs: that could lead to an inherited descriptor
 * (P07).
 */
static inline int sys_chdir_no_magiclinks(const char *path)
{
	int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
			     RESOLVE_NO_MAGICLINKS);
	int r;

	if (fd < 0)
		return fd;
	r = (int)SYS_RESULT(fchdir(fd));
	(void)close(fd);
	return r;
}

static inline pid_t sys_clone3(struct clone_args *args, size_t size)
{
	return (pid_t)SYS_RESULT(syscall(SYS_clone3, args, size));
}

static inline int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_open_tree, dirfd, path, flags));
}

static inline int sys_move_mount(int from_fd, const char *from, int to_fd, const char *to,
				 unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_move_mount, from_fd, from, to_fd, to, flags));
}

static inline int sys_mount_setattr(int dirfd, const char *path, unsigned flags,
				    struct mount_attr *attr)
{
	return (int)SYS_RESULT(syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof(*attr)));
}

static inline int sys_fsopen(const char *type, unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_fsopen, type, flags));
}

static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return (int)SYS_RESULT(syscall(SYS_fsconfig, fd, cmd, key, value, aux));
}

static inline int sys_fsmount(int fd, unsigned flags, unsigned attr)
{
	return (int)SYS_RESULT(syscall(SYS_fsmount, fd, flags, attr));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)SYS_RESULT(syscall(SYS_pivot_root, new_root, put_old));
}

static inline int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_pidfd_open, pid, flags));
}

/* ioctl_pidfd(2), from Linux 6.11; -ENOTTY and its like before. */
#define SYS_PIDFD_GET_CGROUP_NAMESPACE _IO(0xff, 1)
#define SYS_PIDFD_GET_USER_NAMESPACE _IO(0xff, 9)
static inline int sys_pidfd_get_namespace(int pidfd, unsigned request)
{
	return (int)SYS_RESULT(ioctl(pidfd, request, 0));
}

static inline int sys_pidfd_send_signal(int pidfd, int signal)
{
	return (int)SYS_RESULT(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

/* landlock(7): the ABI of the kernel, or -ENOSYS and its like. */
static inline int sys_landlock_abi(void)
{
	return (int)SYS_RESULT(syscall(SYS_landlock_create_ruleset, NULL, 0, 1U << 0));
}

/*
 * From now on this thread connects only to abstract unix sockets of its own domain and those made
 * from it. ABI 6 (Linux 6.12). As no access to files is handled, mounts stay as they are.
 */
#define SYS_LANDLOCK_ABI_SCOPE 6
static inline int sys_landlock_scope_abstract_sockets(void)
{
	const struct {
		uint64_t handled_access_fs, handled_access_net, scoped;
	} attributes = {.scoped = 1U << 0};
	int fd = (int)SYS_RESULT(
		syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0));
	int r = fd < 0 ? fd : (int)SYS_RESULT(syscall(SYS_landlock_restrict_self, fd, 0));

	if (fd >= 0)
		(void)close(fd);
	return r;
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_close_range, first, last, flags));
}

static inline int sys_execveat(int dirfd, const char *path, char *const *argv, char *const *envp,
			       int flags)
{
	return (int)SYS_RESULT(syscall(SYS_execveat, dirfd, path, argv, envp, flags));
}

static inline int sys_statx(int dirfd, const char *path, int flags, unsigned mask,
			    struct statx *ret)
{
	return (int)SYS_RESULT(syscall(SYS_statx, dirfd, path, flags, mask, ret));
}

static inline int sys_renameat2(int from_fd, const char *from, int to_fd, const char *to,
				unsigned flags)
{
	return (int)SYS_RESULT(syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

/* Without CAP_SYS_RESOURCE a hard limit can't be raised: sets as much of it as is allowed. */
static inline int sys_setrlimit_allowed(int resource, struct rlimit limit)
{
	struct rlimit now;

	if (setrlimit(resource, &limit) == 0)
		return 0;
	if (errno != EPERM || getrlimit(resource, &now) < 0)
		return -errno;
	if (limit.rlim_max > now.rlim_max)
		limit.rlim_max = now.rlim_max;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return (int)SYS_RESULT(setrlimit(resource, &limit));
}
