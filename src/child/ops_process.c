/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops that change the process itself, up to exec. They run in the children; system calls only.
 * Must never gain privilege.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "child/child.h"
#include "kernel/sys.h"

int child_op_UNSHARE(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(unshare((int)op->flags));
}

/* A thread that moves itself ("0") needs no lock that would make all forks of the host wait. */
int child_op_JOIN_TASKS(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(write(context->slots[op->in], "0", 1));
}

static int write_text(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = (int)SYS_RESULT(write(fd, text, strlen(text)));
	(void)close(fd);
	return r < 0 ? r : 0;
}

int child_op_SYSCTL(struct child_context *context, const struct plan_op *op)
{
	int sysctls = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = sysctls < 0 ? -errno : write_text(sysctls, op->path, op->data);

	if (sysctls >= 0)
		(void)close(sysctls);
	return r;
}

int child_op_JOIN_CGROUP(struct child_context *context, const struct plan_op *op)
{
	return write_text(context->slots[op->in], "cgroup.procs", "0");
}

int child_op_JOIN(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(setns(context->slots[op->in], (int)op->flags));
}

int child_op_LOOPBACK(struct child_context *context, const struct plan_op *op)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0) /* a kernel without IPv4 */
		return errno == EAFNOSUPPORT ? 0 : -errno;
	r = (int)SYS_RESULT(ioctl(fd, SIOCSIFFLAGS, &request));
	(void)close(fd);
	return r;
}

/* Raw calls: the libc functions take locks and signal other threads, of which there are none. */
static int set_ids(uint32_t uid, uint32_t gid, const gid_t *groups, size_t count)
{
	int r = (int)SYS_RESULT(syscall(SYS_setgroups, count, groups));

	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresgid, gid, gid, gid));
	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresuid, uid, uid, uid));
	/* A change of ids may let others look into the process again, by sysctl fs.suid_dumpable
	 * (X03). */
	if (r >= 0)
		r = (int)SYS_RESULT(prctl(PR_SET_DUMPABLE, 0));
	return r;
}

int child_op_BECOME_ROOT(struct child_context *context, const struct plan_op *op)
{
	return set_ids(0, 0, NULL, 0);
}

int child_op_FCHDIR(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(fchdir(context->slots[op->in]));
}

int child_op_PDEATHSIG(struct child_context *context, const struct plan_op *op)
{
	struct pollfd peer = {.fd = context->slots[PLAN_SLOT_SYNC]};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* No signal comes from a supervisor that has died already; but its socket is closed then.
	 */
	if (peer.fd >= 0 && poll(&peer, 1, 0) > 0 && (peer.revents & POLLHUP))
		_exit(1);
	return 0;
}

int child_op_SETUSER(struct child_context *context, const struct plan_op *op)
{
	int r = set_ids(op->uid, op->gid, op->blob, op->blob_count);

	/* The kernel clears the parent death signal when ids change. */
	return r < 0 ? r : child_op_PDEATHSIG(context, op);
}

int child_op_HOSTNAME(struct child_context *context, const struct plan_op *op)
{
	return (int)SYS_RESULT(sethostname(op->data, strlen(op->data)));
}

int child_op_STDIO(struct child_context *context, const struct plan_op *op)
{
	static const enum plan_slot pipes[] = {PLAN_SLOT_STDIN, PLAN_SLOT_STDOUT, PLAN_SLOT_STDERR};

	for (int fd = 0; fd < 3; fd++) {
		int source = context->slots[op->in == PLAN_SLOT_STDIN ? pipes[fd] : op->in];
		/* dup2() of a descriptor onto itself would keep close-on-exec. */
		int r = source == fd ? (int)SYS_RESULT(fcntl(fd, F_SETFD, 0))
				     : (int)SYS_RESULT(dup2(source, fd));

		if (r < 0)
			return r;
	}
	return 0;
}

int child_op_SETSID(struct child_context *context, const struct plan_op *op)
{
	int r = (int)SYS_RESULT(setsid());

	/* number: take the console as the controlling terminal. */
	if (r >= 0 && op->number)
		r = (int)SYS_RESULT(ioctl(STDIN_FILENO, TIOCSCTTY, 0));
	return r < 0 ? r : 0;
}

int child_op_RLIMIT(struct child_context *context, const struct plan_op *op)
{
	struct rlimit limit = {.rlim_cur = op->number, .rlim_max = op->number2};

	return sys_setrlimit_allowed((int)op->flags, limit);
}

int child_op_KEYRING(struct child_context *context, const struct plan_op *op)
{
	int r = (int)SYS_RESULT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));

	/* A kernel without keys, or an outer sandbox without keyctl, has none to leak. */
	return r == -ENOSYS || r == -EPERM ? 0 : r < 0 ? r : 0;
}

int child_op_RESET(struct child_context *context, const struct plan_op *op)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} action = {};
	uint64_t none = 0;

	/* Raw calls: libc hides the two signals that its threads use. */
	for (int signal = 1; signal <= 64; signal++)
		(void)syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof(none));
	(void)umask(022);
	/* Keep the architecture. Flags like "no address randomization" are the caller's own. */
	(void)syscall(SYS_personality, syscall(SYS_personality, 0xffffffff) & PER_MASK);
	return (int)SYS_RESULT(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)));
}

int child_op_CHDIR(struct child_context *context, const struct plan_op *op)
{
	/* The root directory is the guest's by now. */
	return sys_chdir_no_magiclinks(op->path);
}

/* Keeps CAP_KILL only, to signal processes of other users of the machine. */
static int keep_only_kill(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = 1U << CAP_KILL, .permitted = 1U << CAP_KILL},
	};

	return (int)SYS_RESULT(syscall(SYS_capset, &header, data));
}

/*
 * The stub stays, and a debugger inside may read it. So it drops the supervisor's memory and closes
 * all descriptors, `barrier` last. PID 1's stack is not part of that memory, see clone-outer.
 */
static void __attribute__((noreturn))
become_stub(const struct child_context *context, pid_t payload, int barrier)
{
	int r = keep_only_kill();

	if (r >= 0)
		r = memory_advise(&context->memory, NULL, MADV_DONTNEED);
	if (r >= 0 && barrier > 0)
		r = sys_close_range(0, (unsigned)barrier - 1, 0);
	if (r >= 0)
		r = sys_close_range((unsigned)barrier + 1, ~0U, 0);
	if (r < 0)
		_exit(1);
	(void)close(barrier);
	child_stub_run(payload);
}

/* End of file means that PID 1 holds nothing any more that the payload must not see. */
static int wait_for_stub(int barrier)
{
	ssize_t n;
	char byte;

	do
		n = read(barrier, &byte, 1);
	while (n < 0 && errno == EINTR);
	(void)close(barrier);
	return n < 0 ? -errno : (int)SYS_RESULT(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

/* Asks for PID 2, which the child that mounted /proc had; takes the next if it may not ask. */
static pid_t clone_payload(void)
{
	pid_t second = 2;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&second,
		.set_tid_size = 1,
	};
	pid_t pid = sys_clone3(&args, sizeof(args));

	if (pid != -EPERM)
		return pid;
	args.set_tid_size = 0;
	return sys_clone3(&args, sizeof(args));
}

int child_op_STUB(struct child_context *context, const struct plan_op *op)
{
	int barrier[2];
	pid_t pid;

	if (pipe2(barrier, O_CLOEXEC) < 0)
		return -errno;
	pid = clone_payload();
	if (pid < 0)
		return pid;
	if (pid > 0)
		become_stub(context, pid, barrier[1]);
	(void)close(barrier[1]);
	return wait_for_stub(barrier[0]);
}

int child_op_CLOEXEC(struct child_context *context, const struct plan_op *op)
{
	return sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
}

int child_op_BOUNDING(struct child_context *context, const struct plan_op *op)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};
	int r;

	for (int cap = 0; cap < 64; cap++) {
		if (op->number & (UINT64_C(1) << cap))
			continue;
		r = (int)SYS_RESULT(prctl(PR_CAPBSET_DROP, cap));
		if (r == -EINVAL) /* beyond the kernel's last capability */
			break;
		if (r < 0)
			return r;
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Nothing inheritable (CVE-2022-24769); effective and permitted are exec's to work out. */
	r = (int)SYS_RESULT(syscall(SYS_capget, &header, data));
	if (r < 0)
		return r;
	data[0].inheritable = 0;
	data[1].inheritable = 0;
	return (int)SYS_RESULT(syscall(SYS_capset, &header, data));
}

int child_op_SCOPE(struct child_context *context, const struct plan_op *op)
{
	return sys_landlock_scope_abstract_sockets();
}

int child_op_SECCOMP(struct child_context *context, const struct plan_op *op)
{
	struct sock_fprog program = {
		.len = (unsigned short)op->blob_count,
		.filter = (struct sock_filter *)op->blob,
	};

	return (int)SYS_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

int child_op_EXEC(struct child_context *context, const struct plan_op *op)
{
	int worst = -ENOENT;

	for (char *const *path = op->candidates; *path; path++) {
		int r = (int)SYS_RESULT(execve(*path, op->argv, op->envp));

		/* As a shell does, prefer the error of a file that exists but can't be run. */
		if (r != -ENOENT && r != -ENOTDIR && (worst == -ENOENT || r != -EACCES))
			worst = r;
		if (r != -ENOENT && r != -ENOTDIR && r != -EACCES)
			break;
	}
	return worst;
}
