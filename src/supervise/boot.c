/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One boot: prepares the host, carries out the plan, listens to the children until PID 1 has
 * executed. Whatever fails is undone here. Supervisor's side of clone().
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/str.h"
#include "log/log.h"
#include "supervise/internal.h"

static struct supervisor *supervisor_of(struct child_context *context)
{
	return context->userdata;
}

static int open_proc(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int map_users(const struct host_facts *facts, int proc)
{
	char map[64];
	int r;

	(void)snprintf(map, sizeof(map), "0 %u %u\n", facts->uid_shift, facts->uid_range);
	r = io_write_file_at(proc, "uid_map", map);
	return r < 0 ? r : io_write_file_at(proc, "gid_map", map);
}

/* The outer child exists and its namespaces too: it waits while the rest is put in place. */
static int prepare_outer(struct child_context *context, pid_t outer)
{
	struct supervisor *s = supervisor_of(context);
	autoclose int proc = -1;
	int fd;
	int r;

	s->host.outer_pid = outer;
	/* Our copy must be gone, or end of file never comes. */
	host_set_slot(&s->host, PLAN_SLOT_SYNC, -1);
	proc = open_proc(outer);
	if (proc < 0)
		return proc;
	/* A caller that the kernel spares when memory runs out is no reason to spare the machine.
	 */
	(void)io_write_file_at(proc, "oom_score_adj", "0");
	if (!s->host.facts.has_user_namespace)
		return 0;
	r = map_users(&s->host.facts, proc);
	if (r < 0)
		return r;
	fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	host_set_slot(&s->host, PLAN_SLOT_USERNS, fd);
	return 0;
}

static int run_host(struct child_context *context, const char *module)
{
	int r = host_attach(&supervisor_of(context)->host, module);

	/* Said already: boot_log_failure() must not say it again. */
	if (r < 0)
		supervisor_of(context)->start_error = r;
	return r;
}

static void tell_wish(struct child_context *context, const struct plan_op *op, int error)
{
	log_warning_errno(error, "machine %s starts without it: %s of %s",
			  supervisor_of(context)->spec->machine, plan_op_name(op->kind), op->path);
}

/* Fields 48 to 51 of /proc/self/stat, see proc(5): our command line, and the environment behind. */
static void find_arguments(struct child_context *context)
{
	enum { START, END, ENVIRONMENT, ENVIRONMENT_END, FIELDS };
	autofree char *text = NULL;
	unsigned long fields[FIELDS] = {};
	char *field = NULL;

	if (io_read_file_at(AT_FDCWD, "/proc/self/stat", 4096, &text, NULL) >= 0)
		field = strrchr(text, ')');
	for (int i = 2; field && i < 48; i++)
		field = strchr(field + 1, ' ');
	for (int i = START; field && i < FIELDS; i++)
		fields[i] = strtoul(field, &field, 10);
	if (fields[START] == 0 || fields[END] < fields[START])
		return;
	context->arguments = (char *)fields[START];
	context->arguments_size =
		(fields[ENVIRONMENT] == fields[END] ? fields[ENVIRONMENT_END] : fields[END]) -
		fields[START];
}

static int set_up(struct supervisor *s)
{
	int r = child_run_stage(&s->context, PLAN_STAGE_OPEN);

	if (r >= 0)
		r = child_run_stage(&s->context, PLAN_STAGE_SETUP);
	if (r < 0 && s->start_error == 0)
		(void)boot_log_failure(s, &s->plan.ops[s->context.current_op], r);
	return r;
}

static int take_leader(struct supervisor *s, pid_t pid)
{
	int fd = sys_pidfd_open(pid, 0);

	if (fd < 0)
		return log_errno(fd, "watch PID 1 of machine %s", s->spec->machine);
	s->leader = pid;
	s->leader_fd = fd;
	return 0;
}

static int take_report(struct supervisor *s, const struct child_report *report, int *fd)
{
	switch (report->type) {
	case CHILD_REPORT_INNER:
		return take_leader(s, report->pid);
	case CHILD_REPORT_PTY:
		s->pty_fd = take_fd(fd);
		return 0;
	case CHILD_REPORT_FAILED:
		if (report->op >= s->plan.count)
			return -EBADMSG;
		s->plan_reached_exec = s->plan.ops[report->op].kind == PLAN_OP_EXEC;
		return boot_log_failure(s, &s->plan.ops[report->op], report->error);
	default:
		return 0;
	}
}

/* End of file comes with exec, which closes the last copy; or with a death without a word. */
static int check_alive(struct supervisor *s)
{
	siginfo_t info = {};

	if (s->leader_fd < 0)
		return log_error(-ECHILD, "machine %s was killed while it was being made",
				 s->spec->machine);
	if (waitid((idtype_t)P_PIDFD, (id_t)s->leader_fd, &info, WEXITED | WNOHANG | WNOWAIT) ==
		    0 &&
	    info.si_pid != 0 && info.si_code == CLD_KILLED && info.si_status == SIGSYS)
		return log_error(-EACCES, "the system call filter killed PID 1 of machine %s",
				 s->spec->machine);
	return 0;
}

/* One report: 1, 0 at end of file, or -errno: said why. */
static int hear_child(struct supervisor *s, enum child_report_type *ret_type)
{
	struct child_report report = {};
	autoclose int fd = -1;
	size_t fd_count = 0;
	ssize_t n;
	int r;

	/* A child that ended with our word unread: the kernel says so once, its own words follow.
	 */
	do
		n = fd_receive(s->report_fd, &report, sizeof(report), &fd, 1, &fd_count);
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
		r = hear_child(s, &type);
	while (r > 0);
	return r < 0 ? r : check_alive(s);
}

static int await_outer(struct child_context *context)
{
	struct supervisor *s = supervisor_of(context);
	enum child_report_type type = CHILD_REPORT_EXEC;
	int r;

	do
		r = hear_child(s, &type);
	while (r > 0 && type != CHILD_REPORT_NAMESPACES);
	if (r == 0)
		r = check_alive(s);
	/* Said already. */
	if (r < 0)
		s->start_error = r;
	return r;
}

static int prepare(struct supervisor *s)
{
	int ends[2];
	int r;

	host_init(&s->host, s->spec, s->image_fd, s->machine_dir);
	r = host_prepare(&s->host);
	if (r >= 0)
		r = host_plan(s->spec, &s->host.facts, &s->plan);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return log_errno(-errno, "make the report socket");
	s->report_fd = ends[0];
	host_set_slot(&s->host, PLAN_SLOT_SYNC, ends[1]);
	s->context = (struct child_context){
		.plan = &s->plan,
		.slots = s->host.slots,
		.supervisor_sync = ends[0],
		.prepare_outer = prepare_outer,
		.await_outer = await_outer,
		.run_host = run_host,
		.tell_wish = tell_wish,
		.userdata = s,
	};
	/* Only the stub stays this program. */
	if (s->spec->start == SPEC_START_PID2)
		find_arguments(&s->context);
	return 0;
}

/*
 * The children of a machine that will not be: both end when they hear no word any more, and none
 * may be left when what they have is taken down. They say no more that has not been said.
 */
static void dismiss_children(struct supervisor *s)
{
	struct child_report report = {};
	ssize_t n;

	if (s->context.outer_pid <= 0)
		return;
	(void)shutdown(s->report_fd, SHUT_WR);
	do {
		autoclose int fd = -1;
		size_t fd_count = 0;

		n = fd_receive(s->report_fd, &report, sizeof(report), &fd, 1, &fd_count);
		if (n > 0 && report.type == CHILD_REPORT_INNER && s->leader_fd < 0)
			(void)take_leader(s, report.pid);
	} while (n > 0 || n == -ECONNRESET);
}

static void reap_outer(struct supervisor *s)
{
	while (s->context.outer_pid > 0 && waitpid(s->context.outer_pid, NULL, 0) < 0 &&
	       errno == EINTR)
		;
	s->context.outer_pid = 0;
}

/*
 * Leaves the mount namespace of this boot. PID 1 makes a copy of it for itself; until then the
 * outer child keeps it, whose end then takes it down, beside PID 1 and not before the machine's
 * end.
 */
static void leave_mounts(struct supervisor *s)
{
	host_close_mounts(&s->host);
	if (s->mount_ns_fd >= 0 && setns(s->mount_ns_fd, CLONE_NEWNS) < 0)
		log_warning_errno(-errno, "leave the mount namespace of machine %s",
				  s->spec->machine);
}

int boot_machine(struct supervisor *s)
{
	int r;

	s->leader = 0;
	s->leader_fd = -1;
	s->pty_fd = -1;
	s->report_fd = -1;
	s->start_error = 0;
	s->plan_reached_exec = false;
	r = prepare(s);
	if (r >= 0)
		r = set_up(s);
	leave_mounts(s);
	if (r >= 0)
		r = follow_children(s);
	else if (s->report_fd >= 0)
		dismiss_children(s);
	if (s->report_fd >= 0)
		(void)close(take_fd(&s->report_fd));
	reap_outer(s);
	if (r < 0)
		s->start_error = r;
	return r;
}

/* Ends what was not ended by itself. */
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
	stop_end_asking(s);
	if (s->pty_fd >= 0)
		(void)close(take_fd(&s->pty_fd));
	host_undo(&s->host);
	plan_done(&s->plan);
}
