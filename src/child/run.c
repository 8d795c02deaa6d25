/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter's loop and the birth of the two children. Runs in the supervisor and in both
 * children; in a child it makes system calls only.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "child/child.h"
#include "kernel/sys.h"

const child_op_fn child_op_handlers[PLAN_OP_COUNT] = {
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

int child_run_stage(struct child_context *context, enum plan_stage stage)
{
	for (size_t i = 0; i < context->plan->count; i++) {
		const struct plan_op *op = &context->plan->ops[i];
		int r;

		if (op->stage != stage)
			continue;
		context->current_op = i;
		r = child_op_handlers[op->kind](context, op);
		if (r >= 0 || (op->is_optional && (r == -ENOENT || r == -ENODEV)))
			continue;
		if (!op->is_wish)
			return r;
		context->tell_wish(context, op, r);
	}
	return 0;
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

static pid_t clone_child(uint64_t flags, int cgroup_fd, uint64_t exit_signal)
{
	struct clone_args args = {.flags = flags, .exit_signal = exit_signal};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return sys_clone3(&args, sizeof(args));
}

int child_enter_netns(struct child_context *context, const struct plan_op *op)
{
	if (op->ns == PLAN_SLOT_NONE)
		return 0;
	return (int)SYS_RESULT(setns(context->slots[op->ns], CLONE_NEWNET));
}

void child_leave_netns(struct child_context *context, const struct plan_op *op)
{
	/* Going on elsewhere would undo links and addresses of strangers. */
	if (op->ns != PLAN_SLOT_NONE &&
	    setns(context->slots[PLAN_SLOT_NETNS_HOME], CLONE_NEWNET) < 0)
		_exit(1);
}

/* Waits for the supervisor's word, and takes the descriptor that comes with it: -1 for none. */
static int hear_supervisor(struct child_context *context, int *ret_fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct child_report go;
	struct iovec iov = {.iov_base = &go, .iov_len = sizeof(go)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = (struct cmsghdr *)control;
	ssize_t n;

	do
		n = recvmsg(context->slots[PLAN_SLOT_SYNC], &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	/* End of file: the supervisor failed on its side and has said so itself. */
	if (n == 0)
		_exit(1);
	if (n < 0)
		return -errno;
	*ret_fd = -1;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && header->cmsg_type == SCM_RIGHTS)
		*ret_fd = *(int *)CMSG_DATA(header);
	return 0;
}

static void __attribute__((noreturn)) be_outer(struct child_context *context)
{
	int none;
	int r;

	/* The supervisor's death must end the children also before PID 1 exists. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)close(context->supervisor_sync);
	/* What the kernel makes in new namespaces belongs to their root, if there is one already.
	 */
	r = hear_supervisor(context, &none);
	if (r < 0)
		report_and_leave(context, r);
	run_child(context, PLAN_STAGE_OUTER);
}

/* Lets the child at the other end go on. One that has ended is no error: why is heard from it next.
 */
static int tell_child(struct child_context *context, int fd)
{
	struct child_report go = {};
	int r = child_send_report(context->supervisor_sync, &go, fd);

	return r == -EPIPE ? 0 : r;
}

int child_op_CLONE_OUTER(struct child_context *context, const struct plan_op *op)
{
	int r = child_enter_netns(context, op);
	pid_t pid;

	if (r < 0)
		return r;
	pid = clone_child(op->flags, context->slots[op->in], SIGCHLD);
	if (pid == 0)
		be_outer(context);
	child_leave_netns(context, op);
	if (pid < 0)
		return pid;
	context->outer_pid = pid;
	r = context->prepare_outer(context, pid);
	return r < 0 ? r : tell_child(context, -1);
}

int child_op_AWAIT(struct child_context *context, const struct plan_op *op)
{
	return context->await_outer(context);
}

int child_op_ANNOUNCE(struct child_context *context, const struct plan_op *op)
{
	struct child_report report = {.type = CHILD_REPORT_NAMESPACES};

	return child_send_report(context->slots[PLAN_SLOT_SYNC], &report, -1);
}

int child_op_CLONE_INNER(struct child_context *context, const struct plan_op *op)
{
	struct child_report report = {.type = CHILD_REPORT_INNER};
	pid_t pid = clone_child(op->flags | CLONE_PARENT, context->slots[op->in], 0);

	if (pid < 0)
		return pid;
	if (pid == 0)
		run_child(context, PLAN_STAGE_INNER);
	report.pid = pid;
	return child_send_report(context->slots[PLAN_SLOT_SYNC], &report, -1);
}

int child_op_RELEASE(struct child_context *context, const struct plan_op *op)
{
	return tell_child(context, context->slots[op->in]);
}

/* The outer child takes the two words that are for it before PID 1 exists: the third is PID 1's. */
int child_op_PERMIT(struct child_context *context, const struct plan_op *op)
{
	return tell_child(context, -1);
}

int child_op_AWAIT_PERMIT(struct child_context *context, const struct plan_op *op)
{
	int none;

	return hear_supervisor(context, &none);
}

int child_op_WAIT(struct child_context *context, const struct plan_op *op)
{
	int fd;
	int r = hear_supervisor(context, &fd);

	if (r < 0)
		return r;
	if (fd < 0)
		return -EBADMSG;
	child_set_slot(context, op->out, fd);
	return 0;
}

int child_op_HOST(struct child_context *context, const struct plan_op *op)
{
	return context->run_host(context, op->path);
}
