/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One boot: prepares the host, carries out the plan, listens to the children until PID 1 has
 * executed. Whatever fails is undone here. Supervisor's side of clone().
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/oom.h"
#include "supervise/errors.h"
#include "supervise/internal.h"

static struct supervisor *supervisor_of(struct child_context *context)
{
	return context->userdata;
}

static int log_failure(const struct supervisor *s, size_t op, int error)
{
	return boot_log_failure(&(struct boot_failure){.spec = s->spec,
						       .image_fd = s->image_fd,
						       .op = &s->plan.ops[op],
						       .item = s->context.current_item,
						       .error = error});
}

/* A namespace of the holder: by its pidfd where the kernel can do that, else through /proc. */
static int open_namespace(const struct supervisor *s, unsigned request, const char *name)
{
	int fd = sys_pidfd_get_namespace(s->host.slots[PLAN_SLOT_HOLDER], request);
	char path[48];

	if (fd >= 0)
		return fd;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)s->host.holder_pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? (errno == ENOENT ? -ESRCH : -errno) : fd;
}

static int map_users(const struct host_facts *facts, pid_t holder)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char map[64];
	int r = 0;

	(void)snprintf(map, sizeof(map), "0 %u %u\n", facts->uid_shift, facts->uid_range);
	for (size_t i = 0; i < ARRAY_SIZE(files) && r >= 0; i++) {
		char path[48];

		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)holder, files[i]);
		r = io_write_file_at(AT_FDCWD, path, map);
	}
	return r;
}

/* The holder exists and waits; it makes the other namespaces as root of its user namespace. */
static int prepare_holder(struct child_context *context, pid_t holder)
{
	struct supervisor *s = supervisor_of(context);
	int fd;
	int r;

	s->host.holder_pid = holder;
	/* Close our copy, or end of file never comes. */
	host_set_slot(&s->host, PLAN_SLOT_HOLDER_SYNC, -1);
	if (!s->host.facts.has_user_namespace)
		return 0;
	r = map_users(&s->host.facts, holder);
	if (r < 0)
		return r;
	fd = open_namespace(s, SYS_PIDFD_GET_USER_NAMESPACE, "user");
	if (fd < 0)
		return fd;
	host_set_slot(&s->host, PLAN_SLOT_USERNS, fd);
	return 0;
}

static int run_host(struct child_context *context, const char *module)
{
	int r = host_attach(&supervisor_of(context)->host, module);

	/* The module has said why: boot_log_failure() must not be called. */
	if (r < 0)
		supervisor_of(context)->start_error = r;
	return r;
}

static void warn_failed(struct child_context *context, const struct plan_op *op, int error)
{
	log_warning_errno(error, "machine %s starts without it: %s of %s",
			  supervisor_of(context)->spec->machine, plan_op_name(op->kind), op->path);
}

static int log_killed(const struct supervisor *s)
{
	return log_error(-ECHILD, "machine %s was killed while it was being made",
			 s->spec->machine);
}

static int set_up(struct supervisor *s)
{
	/* Ops specify exact modes, so clear the umask. */
	mode_t mask = umask(0);
	int r = child_run_stage(&s->context, PLAN_STAGE_OPEN);

	if (r >= 0)
		r = child_run_stage(&s->context, PLAN_STAGE_SETUP);
	(void)umask(mask);
	/* A child was killed before it could report. */
	if (s->start_error == 0 && (r == -ECANCELED || r == -ESRCH))
		return log_killed(s);
	if (s->start_error == 0 && r < 0)
		(void)log_failure(s, s->context.current_op, r);
	return r;
}

/* End of file is what the holder of the namespaces waits for. */
static void let_holder_go(struct supervisor *s)
{
	if (s->holder_fd >= 0)
		(void)shutdown(s->holder_fd, SHUT_WR);
}

/* PID 1 must not keep the supervisor's OOM score, which may protect it from the OOM killer. */
static int set_oom_score(struct supervisor *s, pid_t inner)
{
	char path[48], text[OOM_SCORE_TEXT];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)inner);
	oom_score_format(s->oom_score, text);
	r = io_write_file_at(AT_FDCWD, path, text);
	if (r >= 0 || oom_score_of(inner) >= 0)
		return 0;
	s->start_error = r;
	return log_errno(r, "set the OOM score of machine %s", s->spec->machine);
}

static int watch_inner(struct child_context *context, pid_t inner)
{
	struct supervisor *s = supervisor_of(context);

	host_set_slot(&s->host, PLAN_SLOT_SYNC, -1);
	s->leader = s->host.leader_pid = inner;
	s->leader_fd = sys_pidfd_open(inner, 0);
	if (s->leader_fd >= 0)
		host_set_slot(&s->host, PLAN_SLOT_LEADER, fcntl(s->leader_fd, F_DUPFD_CLOEXEC, 3));
	let_holder_go(s);
	return s->leader_fd < 0 ? s->leader_fd : set_oom_score(s, inner);
}

static void reap(pid_t *pid)
{
	while (*pid > 0 && waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

static int end_holder(struct child_context *context)
{
	reap(&context->holder_pid);
	/* Where root of the machine is root of the host, the outer child was in the cgroup too. */
	reap(&context->outer_pid);
	supervisor_of(context)->host.holder_pid = 0;
	return 0;
}

static int take_report(struct supervisor *s, const struct child_report *report, int *fd)
{
	switch (report->type) {
	case CHILD_REPORT_PTY:
		s->pty_fd = take_fd(fd);
		return 0;
	case CHILD_REPORT_FAILED:
		if (report->op >= s->plan.count)
			return -EBADMSG;
		s->plan_reached_exec = s->plan.ops[report->op].kind == PLAN_OP_EXEC;
		return log_failure(s, report->op, report->error);
	default:
		return 0;
	}
}

/* End of file means exec, which closes the last copy, or a death without a report. */
static int check_alive(struct supervisor *s)
{
	siginfo_t info = {};

	if (s->leader_fd < 0)
		return log_killed(s);
	if (waitid((idtype_t)P_PIDFD, (id_t)s->leader_fd, &info, WEXITED | WNOHANG | WNOWAIT) ==
		    0 &&
	    info.si_pid != 0 && info.si_code == CLD_KILLED && info.si_status == SIGSYS)
		return log_error(-EACCES, "the system call filter killed PID 1 of machine %s",
				 s->spec->machine);
	return 0;
}

/*
 * Waits for a child, and for signals: a child may hang for ever, in a file system that doesn't
 * answer for example. -EINTR: interrupted (said).
 */
static int await_child(struct supervisor *s, int socket)
{
	struct pollfd fds[] = {
		{.fd = s->signal_fd, .events = POLLIN},
		{.fd = socket, .events = POLLIN},
	};

	do {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return log_errno(-errno, "wait for the children of machine %s",
					 s->spec->machine);
		if (fds[0].revents && supervisor_is_interrupted(s))
			return log_error(-EINTR, "the start of machine %s was interrupted",
					 s->spec->machine);
	} while (!fds[1].revents);
	return 0;
}

/* One report over `socket`: 1, 0 at end of file, or -errno: said why. */
static int hear_child(struct supervisor *s, int socket, enum child_report_type *ret_type)
{
	struct child_report report = {};
	autoclose int fd = -1;
	size_t fd_count = 0;
	ssize_t n;
	int r = await_child(s, socket);

	if (r < 0)
		return r;
	/* The kernel reports once that a child ended without reading our message; reports follow.
	 */
	do
		n = fd_receive(socket, &report, sizeof(report), &fd, 1, &fd_count);
	while (n == -ECONNRESET);
	if (n < 0)
		return log_errno((int)n, "hear from the children of machine %s", s->spec->machine);
	if (n == 0)
		return 0;
	r = take_report(s, &report, &fd);
	if (r < 0)
		return r;
	*ret_type = report.type;
	return 1;
}

/* Listens until PID 1 has executed. */
static int follow_children(struct supervisor *s)
{
	enum child_report_type type;
	int r;

	do
		r = hear_child(s, s->report_fd, &type);
	while (r > 0);
	return r < 0 ? r : check_alive(s);
}

static int await_holder(struct child_context *context, enum plan_slot cgroupns)
{
	struct supervisor *s = supervisor_of(context);
	enum child_report_type type = CHILD_REPORT_FAILED;
	int fd;
	int r;

	do
		r = hear_child(s, s->holder_fd, &type);
	while (r > 0 && type != CHILD_REPORT_NAMESPACES);
	if (r == 0)
		r = check_alive(s);
	if (r < 0) {
		/* It has been said why. */
		s->start_error = r;
		return r;
	}
	if (cgroupns == PLAN_SLOT_NONE)
		return 0;
	fd = open_namespace(s, SYS_PIDFD_GET_CGROUP_NAMESPACE, "cgroup");
	if (fd < 0)
		return fd;
	host_set_slot(&s->host, cgroupns, fd);
	return 0;
}

/* Makes a report socket: returns our end, puts the child's into the slot. */
static int open_report(struct supervisor *s, enum plan_slot slot)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return log_errno(-errno, "make the report socket");
	host_set_slot(&s->host, slot, ends[1]);
	return ends[0];
}

/* Making namespaces takes as long as all else, and only depends on the users: so it comes first. */
static int begin(struct supervisor *s)
{
	int r;

	host_init(&s->host, s->spec, s->image_fd, s->machine_dir);
	s->context = (struct child_context){
		.plan = &s->plan,
		.slots = s->host.slots,
		.prepare_holder = prepare_holder,
		.await_holder = await_holder,
		.end_holder = end_holder,
		.watch_inner = watch_inner,
		.run_host = run_host,
		.warn_failed = warn_failed,
		.userdata = s,
	};
	r = host_begin(&s->host);
	if (r < 0)
		return r;
	s->holder_fd = open_report(s, PLAN_SLOT_HOLDER_SYNC);
	if (s->holder_fd < 0)
		return s->holder_fd;
	s->context.holder_sync = s->holder_fd;
	host_plan_namespaces(s->spec, &s->host.facts, &s->plan);
	plan_finish(&s->plan);
	if (s->plan.error < 0)
		return log_oom();
	r = child_run_stage(&s->context, PLAN_STAGE_BEGIN);
	return r < 0 ? log_failure(s, s->context.current_op, r) : 0;
}

static int prepare(struct supervisor *s)
{
	int r;

	/* The whole plan begins with the same ops. */
	plan_done(&s->plan);
	r = host_prepare(&s->host);
	if (r >= 0)
		r = host_plan(s->spec, &s->host.facts, &s->plan);
	if (r < 0)
		return r;
	s->report_fd = open_report(s, PLAN_SLOT_SYNC);
	if (s->report_fd < 0)
		return s->report_fd;
	s->context.supervisor_sync = s->report_fd;
	/* Only the stub goes on in this program. */
	r = s->spec->start == SPEC_START_PID2 ? memory_read_map(&s->context.memory) : 0;
	return r < 0 ? log_errno(r, "read /proc/self/maps") : 0;
}

static void close_report(int *fd)
{
	if (*fd >= 0)
		(void)close(take_fd(fd));
}

/* Leaves the mount namespace of this boot, which ends with that: PID 1 has its own copy. */
static void leave_mounts(struct supervisor *s)
{
	host_close_mounts(&s->host);
	if (s->mount_ns_fd >= 0 && setns(s->mount_ns_fd, CLONE_NEWNS) < 0)
		log_warning_errno(-errno, "leave the mount namespace of machine %s",
				  s->spec->machine);
}

/*
 * After a failure no child may be left when the host's part is undone. The holder is killed, since
 * it may hang; boot_undo() kills PID 1 once there is a pidfd of it.
 */
static void dismiss_children(struct supervisor *s)
{
	let_holder_go(s);
	if (s->context.holder_pid > 0)
		(void)kill(s->context.holder_pid, SIGKILL);
	if (s->leader_fd >= 0 || s->context.inner_pid <= 0)
		return;
	(void)kill(s->context.inner_pid, SIGKILL);
	reap(&s->context.inner_pid);
}

int boot_machine(struct supervisor *s)
{
	int r;

	s->leader = 0;
	s->leader_fd = -1;
	s->pty_fd = -1;
	s->report_fd = s->holder_fd = -1;
	s->start_error = 0;
	s->plan_reached_exec = false;
	r = begin(s);
	if (r >= 0)
		r = prepare(s);
	if (r >= 0)
		r = set_up(s);
	/* Created late: unused until now, and PID 1 is still mounting. */
	if (r >= 0)
		r = supervisor_open_control(s);
	leave_mounts(s);
	if (r >= 0)
		r = follow_children(s);
	else
		dismiss_children(s);
	close_report(&s->report_fd);
	close_report(&s->holder_fd);
	reap(&s->context.outer_pid);
	reap(&s->context.holder_pid);
	if (r < 0)
		s->start_error = r;
	return r;
}

/* In case it has not ended by itself. */
static void kill_leader(struct supervisor *s)
{
	siginfo_t info;

	if (s->leader_fd < 0)
		return;
	(void)sys_pidfd_send_signal(s->leader_fd, SIGKILL);
	while (waitid((idtype_t)P_PIDFD, (id_t)s->leader_fd, &info, WEXITED) < 0 && errno == EINTR)
		;
	(void)close(take_fd(&s->leader_fd));
	s->leader = 0;
}

void boot_undo(struct supervisor *s)
{
	kill_leader(s);
	stop_unwatch(&s->stop);
	if (s->pty_fd >= 0)
		(void)close(take_fd(&s->pty_fd));
	host_undo(&s->host);
	plan_done(&s->plan);
}
