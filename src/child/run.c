/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter's loop, and the ops that make children. Runs in the supervisor and in each child;
 * in a child it must only make system calls.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "child/child.h"
#include "kernel/sys.h"

/* For the outer child, and for PID 1 until exec. No op needs a tenth of it. */
#define OUTER_STACK_SIZE (64 * 1024)

static const child_op_fn child_op_handlers[PLAN_OP_COUNT] = {
#define OP(id, name, stages, help) [PLAN_OP_##id] = child_op_##id,
#include "plan/ops.def"
#undef OP
};

void child_set_slot(struct child_context *context, enum plan_slot slot, int fd)
{
	if (context->slots[slot] >= 0 && context->slots[slot] != fd)
		(void)close(context->slots[slot]);
	context->slots[slot] = fd;
}

int child_send_report(int socket, const struct child_report *report, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = {.iov_base = (void *)report, .iov_len = sizeof(*report)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *header = (struct cmsghdr *)control;
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)CMSG_DATA(header) = fd;
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* A change of ids lowers capabilities: capabilities(7), "Effect of user ID changes". */
static int keep_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};
	int r = (int)SYS_RESULT(syscall(SYS_capget, &header, data));

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	r = (int)SYS_RESULT(syscall(SYS_capset, &header, data));
	/* A change of ids may make the process dumpable, by sysctl fs.suid_dumpable (X03). */
	return r < 0 ? r : (int)SYS_RESULT(prctl(PR_SET_DUMPABLE, 0));
}

/*
 * A mapped mount can't hold a file of the host's root, so files there are made as the guest's user.
 * Taking that file system identity drops the capabilities that override permissions (setfsuid(2)).
 * The guest's root would have them, so they are raised again.
 */
static int take_identity(struct child_context *context, uint32_t uid, uint32_t gid)
{
	if (context->fs_uid == uid && context->fs_gid == gid)
		return 0;
	context->fs_uid = uid;
	context->fs_gid = gid;
	(void)syscall(SYS_setfsgid, gid);
	(void)syscall(SYS_setfsuid, uid);
	return keep_capabilities();
}

/*
 * File ops act as the owner of what they make. For ops that only handle mounts the identity makes
 * no difference, so don't switch it; the options of mount-fs name an owner.
 */
static int take_identity_for(struct child_context *context, const struct plan_op *op)
{
	if (op->kind >= PLAN_OP_MKDIR && op->kind <= PLAN_OP_DELETE)
		return take_identity(context, op->uid, op->gid);
	if (op->kind == PLAN_OP_MOUNT_FS || op->kind == PLAN_OP_ATTACH ||
	    op->kind == PLAN_OP_SETATTR)
		return 0;
	return take_identity(context, 0, 0);
}

int child_run_op(struct child_context *context, const struct plan_op *op)
{
	int r = take_identity_for(context, op);

	return r < 0 ? r : child_op_handlers[op->kind](context, op);
}

static bool can_do_without(const struct plan_op *op, int error)
{
	if (!op->is_optional)
		return false;
	/* In a container the kernel may refuse a file system that would show more than its own. */
	return error == -ENOENT || error == -ENODEV ||
	       (error == -EPERM && op->kind == PLAN_OP_MOUNT_FS);
}

static int run_stage(struct child_context *context, enum plan_stage stage)
{
	for (size_t i = 0; i < context->plan->count; i++) {
		const struct plan_op *op = &context->plan->ops[i];
		int r;

		if (op->stage != stage)
			continue;
		context->current_op = i;
		r = child_run_op(context, op);
		if (r >= 0 || can_do_without(op, r))
			continue;
		if (!op->may_fail)
			return r;
		(void)take_identity(context, 0, 0);
		context->warn_failed(context, op, r);
	}
	return 0;
}

int child_run_stage(struct child_context *context, enum plan_stage stage)
{
	int r = run_stage(context, stage);
	int r2 = take_identity(context, 0, 0);

	return r < 0 ? r : r2;
}

static void __attribute__((noreturn)) report_and_leave(struct child_context *context, int error)
{
	struct child_report report = {
		.type = CHILD_REPORT_FAILED,
		.op = (uint32_t)context->current_op,
		.error = error,
	};

	(void)child_send_report(context->slots[PLAN_SLOT_SYNC], &report, -1);
	_exit(1);
}

static void __attribute__((noreturn))
run_child(struct child_context *context, enum plan_stage stage)
{
	int r = child_run_stage(context, stage);

	if (r < 0)
		report_and_leave(context, r);
	_exit(0);
}

/*
 * Enters the op's network namespace, if it has one, for the time of the op. The supervisor must be
 * back in its own before it does anything else, whether the op succeeds or not.
 */
static int enter_netns(struct child_context *context, const struct plan_op *op)
{
	if (op->ns == PLAN_SLOT_NONE)
		return 0;
	return (int)SYS_RESULT(setns(context->slots[op->ns], CLONE_NEWNET));
}

static void leave_netns(struct child_context *context, const struct plan_op *op)
{
	/* In a foreign namespace the supervisor would undo links and addresses of others. */
	if (op->ns != PLAN_SLOT_NONE &&
	    setns(context->slots[PLAN_SLOT_NETNS_HOME], CLONE_NEWNET) < 0)
		_exit(1);
}

/* Waits for a message of the supervisor. */
static int hear_supervisor(struct child_context *context)
{
	struct child_report go;
	ssize_t n;

	do
		n = recv(context->slots[PLAN_SLOT_SYNC], &go, sizeof(go), 0);
	while (n < 0 && errno == EINTR);
	/* End of file: the supervisor has failed, and has said why itself. */
	if (n == 0)
		_exit(1);
	return n < 0 ? -errno : 0;
}

/*
 * Changes the effective ids only. The real ids stay those of the host's root, which limits of
 * processes and signals go by, and which allow to come back.
 */
static int take_effective_ids(uint32_t uid, uint32_t gid)
{
	int r = (int)SYS_RESULT(syscall(SYS_setresgid, -1, gid, -1));

	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresuid, -1, uid, -1));
	return r < 0 ? r : keep_capabilities();
}

static pid_t clone_into(struct clone_args *args, int cgroup_fd)
{
	if (cgroup_fd >= 0) {
		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)cgroup_fd;
	}
	return sys_clone3(args, sizeof(*args));
}

static void __attribute__((noreturn)) be_holder(struct child_context *context)
{
	int r;

	/* The supervisor's death must end the children also before PID 1 exists. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)close(context->holder_sync);
	context->slots[PLAN_SLOT_SYNC] = context->slots[PLAN_SLOT_HOLDER_SYNC];
	/* Wait for the id maps: new namespaces belong to root of the user namespace, if mapped. */
	r = hear_supervisor(context);
	if (r >= 0)
		r = child_run_stage(context, PLAN_STAGE_HOLDER);
	if (r < 0)
		report_and_leave(context, r);
	/* Stay while others need a process to find the namespaces by. */
	(void)hear_supervisor(context);
	_exit(0);
}

/* Tells the child at the other end to go on. If it has ended, its report is read next. */
static int tell_child(int sync)
{
	struct child_report go = {};
	int r = child_send_report(sync, &go, -1);

	return r == -EPIPE ? 0 : r;
}

/*
 * The kernel counts inotify instances, namespaces and the like for the user who created the user
 * namespace. Create it as a user of the machine, so that it doesn't use up the limits of the host's
 * root.
 */
static pid_t clone_as_owner(struct clone_args *args, int cgroup_fd, const struct plan_op *op)
{
	pid_t pid;
	int r;

	if (op->uid == 0 && op->gid == 0)
		return clone_into(args, cgroup_fd);
	r = take_effective_ids(op->uid, op->gid);
	pid = r < 0 ? r : clone_into(args, cgroup_fd);
	if (pid == 0)
		return 0;
	r = take_effective_ids(0, 0);
	/* Without root there is nothing that this process could do or undo. */
	if (r < 0)
		_exit(1);
	return pid;
}

int child_op_CLONE_HOLDER(struct child_context *context, const struct plan_op *op)
{
	int fd = -1;
	struct clone_args args = {
		.flags = op->flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&fd,
		.exit_signal = SIGCHLD,
	};
	int r = enter_netns(context, op);
	pid_t pid;

	if (r < 0)
		return r;
	pid = clone_as_owner(&args, context->slots[op->in], op);
	if (pid == 0)
		be_holder(context);
	leave_netns(context, op);
	if (pid < 0)
		return pid;
	context->holder_pid = pid;
	child_set_slot(context, op->out, fd);
	r = context->prepare_holder(context, pid);
	return r < 0 ? r : tell_child(context->holder_sync);
}

/*
 * Runs `fn` in a child that shares this process's memory, and waits for it as in vfork(2), so that
 * no memory is copied. Ids and namespaces change in the child only. Returns its pid, which is to be
 * reaped, or -errno.
 */
static pid_t call_in_child(int (*fn)(void *), void *argument, int flags)
{
	static _Alignas(16) char stack[OUTER_STACK_SIZE];

	return (pid_t)SYS_RESULT(clone(fn, stack + sizeof(stack),
				       CLONE_VM | CLONE_VFORK | SIGCHLD | flags, argument));
}

/* The same, and reaps it. 0 or -errno. */
static int call_in_child_and_reap(int (*fn)(void *), void *argument, int flags)
{
	pid_t pid = call_in_child(fn, argument, flags);

	if (pid < 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int child_become_guest(struct child_context *context)
{
	int r = (int)SYS_RESULT(setns(context->slots[PLAN_SLOT_USERNS], CLONE_NEWUSER));

	return r < 0 ? r : child_op_BECOME_ROOT(context, NULL);
}

struct guest_call {
	struct child_context *context;
	const struct plan_op *op;
	child_make_fn fn;
	int result;
};

static int run_as_guest(void *argument)
{
	struct guest_call *call = argument;
	/* The ids are the guest's. */
	struct path_making how = {};

	call->result = child_become_guest(call->context);
	if (call->result >= 0)
		call->result = call->fn(call->context, call->op, how);
	return 0;
}

int child_make_as_guest(struct child_context *context, const struct plan_op *op, child_make_fn fn)
{
	struct guest_call call = {.context = context, .op = op, .fn = fn, .result = -ECANCELED};
	int r = call_in_child_and_reap(run_as_guest, &call, 0);

	return r < 0 ? r : call.result;
}

/* A stage for a child that shares the supervisor's memory, and its result. */
struct stage_call {
	struct child_context *context;
	int result;
};

static int run_outer(void *argument)
{
	struct stage_call *call = argument;
	struct child_context *context = call->context;

	/* Or PID 1, which inherits them, would not notice that the supervisor has ended. */
	(void)close(context->supervisor_sync);
	(void)close(context->holder_sync);
	call->result = child_run_stage(context, PLAN_STAGE_OUTER);
	return 0;
}

/*
 * A process in the host's namespaces can't create the machine's PID 1, and a process that has
 * joined the machine's can't come back. So a child joins them and creates PID 1. It shares the
 * supervisor's memory, as in vfork(2); only PID 1 gets a copy, with the stack of this child.
 */
int child_op_CLONE_OUTER(struct child_context *context, const struct plan_op *op)
{
	struct stage_call call = {.context = context, .result = -ECANCELED};
	pid_t pid = call_in_child(run_outer, &call, 0);

	if (pid < 0)
		return pid;
	context->outer_pid = pid;
	return call.result < 0 ? call.result : context->watch_inner(context, context->inner_pid);
}

static int run_views(void *argument)
{
	struct stage_call *call = argument;

	call->result = child_run_stage(call->context, PLAN_STAGE_VIEWS);
	return 0;
}

/*
 * A procfs shows the PID namespace of the process that mounts it, and only a child can enter one.
 * Mounting in the supervisor's mount namespace takes its privilege, which PID 1 doesn't have. So a
 * child with the supervisor's memory and descriptors does it, in the namespaces that the plan says.
 */
static int call_views(struct stage_call *call)
{
	/* Reap it at once, so that it leaves the guest's PID namespace. */
	int r = call_in_child_and_reap(run_views, call, CLONE_FILES);

	return r < 0 ? r : call->result;
}

int child_op_CLONE_VIEWS(struct child_context *context, const struct plan_op *op)
{
	struct stage_call call = {.context = context, .result = -ECANCELED};
	autoclose int home = sys_pidfd_open(getpid(), 0);
	int r;

	if (home < 0)
		return home;
	r = (int)SYS_RESULT(setns(context->slots[op->in], CLONE_NEWPID));
	if (r < 0)
		return r;
	r = call_views(&call);
	/* Later children of the supervisor must not be in the guest's PID namespace. */
	if (setns(home, CLONE_NEWPID) < 0)
		_exit(1);
	return r;
}

int child_op_HAND_OVER(struct child_context *context, const struct plan_op *op)
{
	return tell_child(context->supervisor_sync);
}

int child_op_AWAIT_MOUNTS(struct child_context *context, const struct plan_op *op)
{
	return hear_supervisor(context);
}

int child_op_AWAIT(struct child_context *context, const struct plan_op *op)
{
	return context->await_holder(context, op->out);
}

int child_op_ANNOUNCE(struct child_context *context, const struct plan_op *op)
{
	struct child_report report = {.type = CHILD_REPORT_NAMESPACES};

	return child_send_report(context->slots[PLAN_SLOT_SYNC], &report, -1);
}

int child_op_CLONE_INNER(struct child_context *context, const struct plan_op *op)
{
	struct clone_args args = {.flags = op->flags | CLONE_PARENT};
	pid_t pid = clone_into(&args, context->slots[op->in]);

	if (pid == 0)
		run_child(context, PLAN_STAGE_INNER);
	context->inner_pid = pid;
	return pid < 0 ? pid : 0;
}

int child_op_END_HOLDER(struct child_context *context, const struct plan_op *op)
{
	return context->end_holder(context);
}

int child_op_HOST(struct child_context *context, const struct plan_op *op)
{
	return context->run_host(context, op->path);
}
