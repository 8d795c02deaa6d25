// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Entering a running machine: everything is looked up and checked here, by the host's program and
 * beneath the machine's root, before the helper of enter_child.c is made. Must never let a
 * terminal or an environment of the host's reach the machine. Parent side of clone().
 */
#include "machine/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/caps.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/userdb.h"
#include "log/log.h"
#include "machine/cgroups.h"
#include "machine/enter_child.h"
#include "machine/leader.h"
#include "machine/oom.h"
#include "machine/registry.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* NixOS has no /usr/bin worth the name; both are links that only its own boot makes. */
#define PATH_NIXOS "/run/wrappers/bin:/run/current-system/sw/bin"
#define NOFILE_SOFT 1024

/* How often a caller looks that the waiter could not tell. */
#define LOOK_AGAIN_NS (100 * 1000 * 1000)

struct entering {
	struct enter_job job;
	struct enter_job *packed;
	struct leader leader;
	struct userdb_user user;
	char *path;
	char **programs, **argv, **environment;
	int root_fd, cgroup_fd;
};

static void entering_done(struct entering *e)
{
	enter_job_free(e->packed);
	leader_close(&e->leader);
	userdb_user_done(&e->user);
	free(e->path);
	(void)strv_free(e->programs);
	(void)strv_free(e->argv);
	(void)strv_free(e->environment);
	cleanup_close(&e->root_fd);
	cleanup_close(&e->cgroup_fd);
	while (e->job.v1_count > 0)
		cleanup_close(&e->job.v1_tasks[--e->job.v1_count]);
}

/*
 * What PID 1 was given, less what it has given up since. What it shows alone proves nothing: a user
 * namespace of its own making shows all capabilities.
 */
static int read_confinement(const struct leader *leader, const struct machine_state *machine,
			    struct leader_confinement *ret)
{
	int r = leader_read_confinement(leader, ret);

	if (r >= 0 && machine->capabilities)
		ret->caps_bounding &= strtoull(machine->capabilities, NULL, 16);
	else if (r >= 0 && machine->uid_range == 0)
		ret->caps_bounding &= caps_default(false, machine->private_network);
	return r;
}

int machine_read_confinement(const struct machine_state *machine, uint64_t *ret_caps_bounding,
			     bool *ret_user_namespace)
{
	autoleader struct leader leader = {};
	struct leader_confinement confinement;
	int flags, r;

	r = leader_open(machine, &leader);
	if (r >= 0)
		r = read_confinement(&leader, machine, &confinement);
	if (r >= 0)
		r = leader_namespaces(&leader, &flags);
	if (r < 0)
		return r;
	*ret_caps_bounding = confinement.caps_bounding;
	*ret_user_namespace = flags & CLONE_NEWUSER;
	return 0;
}

static int find_user(struct entering *e, const char *machine, const char *who)
{
	int r = userdb_find(e->root_fd, who, &e->user);

	if (r == -ESRCH || r == -EINVAL || r == -ERANGE || r == -ENXIO)
		return log_error(-ESRCH, "machine %s has no user '%s'", machine, who);
	return r < 0 ? log_errno(r, "look up user %s in machine %s", who ? who : "root", machine)
		     : 0;
}

static bool exists_inside(int root_fd, const char *path)
{
	autoclose int fd = path_open_in_root(root_fd, path, O_PATH);

	return fd >= 0;
}

static int choose_path(struct entering *e)
{
	bool nixos = exists_inside(e->root_fd, "/run/current-system/sw/bin");

	e->path = str_printf("%s%s", nixos ? PATH_NIXOS ":" : "", PATH_DEFAULT);
	return e->path ? 0 : -ENOMEM;
}

static int add_variable(char ***environment, const char *name, const char *value)
{
	return value ? strv_add_owned(environment, str_printf("%s=%s", name, value)) : 0;
}

/* From nothing: whatever the caller's environment holds is the host's (X04, X07). */
static int make_environment(struct entering *e, const struct enter_request *request)
{
	autofree char *container = leader_getenv(&e->leader, "container");
	const char *const defaults[][2] = {
		{"PATH", e->path},	   {"TERM", request->new_session ? getenv("TERM") : NULL},
		{"HOME", e->user.home},	   {"USER", e->user.name},
		{"LOGNAME", e->user.name}, {"SHELL", e->user.shell},
		{"container", container},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(defaults) && r >= 0; i++) {
		size_t length = strlen(defaults[i][0]);
		bool given = false;

		for (char *const *v = request->environment; v && *v; v++)
			given |= strncmp(*v, defaults[i][0], length) == 0 && (*v)[length] == '=';
		if (!given)
			r = add_variable(&e->environment, defaults[i][0], defaults[i][1]);
	}
	for (char *const *v = request->environment; v && *v && r >= 0; v++)
		r = strv_add(&e->environment, *v);
	return r;
}

/* argv and the paths that are tried for it. */
static int make_command(struct entering *e, const struct enter_request *request)
{
	autostrv char **places = NULL;
	int r;

	if (!request->argv) {
		r = strv_add_owned(&e->argv, str_printf("-%s", path_last(e->user.shell)));
		return r < 0 ? r : strv_add(&e->programs, e->user.shell);
	}
	e->argv = strv_copy(request->argv);
	if (!e->argv)
		return -ENOMEM;
	if (strchr(e->argv[0], '/'))
		return strv_add(&e->programs, e->argv[0]);
	r = strv_split(e->path, ":", &places);
	for (char **place = places; r >= 0 && *place; place++)
		r = strv_add_owned(&e->programs, str_printf("%s/%s", *place, e->argv[0]));
	return r;
}

/* The leader's limits; but a systemd raises its own soft limit of files for itself only. */
static int read_limits(struct entering *e)
{
	struct rlimit *limits = e->job.limits;
	int r = leader_read_limits(&e->leader, limits);

	if (r < 0)
		return r;
	limits[RLIMIT_NOFILE].rlim_cur = MIN(limits[RLIMIT_NOFILE].rlim_max, (rlim_t)NOFILE_SOFT);
	return 0;
}

/* As the supervisor gave it to PID 1, which may have changed its own since. */
static void find_oom_score(struct entering *e, const struct machine_state *machine)
{
	int score = oom_score_of_machine(oom_score_of(machine->supervisor));

	oom_score_format(score, e->job.oom_score);
}

static int read_leader(struct entering *e, const struct machine_state *machine)
{
	struct leader_confinement confinement;
	int r;

	r = leader_open(machine, &e->leader);
	if (r < 0)
		return r;
	r = read_confinement(&e->leader, machine, &confinement);
	if (r >= 0)
		r = leader_namespaces(&e->leader, &e->job.namespaces);
	if (r >= 0)
		r = read_limits(e);
	if (r < 0)
		return r;
	find_oom_score(e, machine);
	e->job.pidfd = e->leader.pidfd;
	e->job.caps_bounding = confinement.caps_bounding;
	e->job.no_new_privileges = confinement.no_new_privileges;
	e->job.personality = confinement.personality;
	e->root_fd = leader_open_root(&e->leader);
	if (e->root_fd < 0)
		return e->root_fd;
	e->job.root_fd = e->root_fd;
	return 0;
}

/* Only in a cgroup below the machine's does its device filter hold. */
static int open_cgroup(struct entering *e, const struct machine_state *machine)
{
	int fd, count;

	if (!machine->cgroup)
		return 0;
	fd = cgroups_open_enter(machine->cgroup);
	if (fd < 0 && fd != -ENODEV && fd != -ENOSYS)
		return fd;
	e->cgroup_fd = fd;
	/* The v1 hierarchies know no birth in a cgroup. */
	count = cgroups_open_v1_tasks(machine->cgroup, e->job.v1_tasks, ENTER_V1_MAX);
	e->job.v1_count = count < 0 ? 0 : (size_t)count;
	return count < 0 ? count : 0;
}

/* A directory as 0, 1 or 2 would be a way out of the root. */
static int check_stdio(const struct enter_request *request)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (fstat(request->stdio[i], &st) < 0)
			return -errno;
		if (S_ISDIR(st.st_mode))
			return log_error(-EISDIR, "standard %s is a directory: refused",
					 i == 0 ? "input" : "output");
	}
	return 0;
}

/*
 * As login makes a terminal the user's. Of a pipe it lets programs open /dev/stdout and its like:
 * it would be of an id that the machine doesn't know.
 */
static void give_stdio(const struct entering *e, const struct machine_state *machine,
		       const struct enter_request *request)
{
	uint32_t uid = e->user.uid;

	if (machine->uid_range > 0 && uid >= machine->uid_range)
		return;
	if (machine->uid_range > 0)
		uid += machine->uid_shift;
	for (int i = 0; i < 3; i++) {
		/* Where that fails it stays root's, which most programs don't notice. */
		if (request->own_stdio[i] && fchown(request->stdio[i], uid, (gid_t)-1) < 0)
			continue;
	}
}

static int prepare(struct entering *e, const struct machine_state *machine,
		   const struct enter_request *request)
{
	struct enter_job *job = &e->job;
	int r;

	r = read_leader(e, machine);
	if (r < 0)
		return log_errno(r, "enter machine %s", machine->name);
	r = find_user(e, machine->name, request->user);
	if (r < 0)
		return r;
	r = check_stdio(request);
	if (r < 0)
		return r;
	r = open_cgroup(e, machine);
	if (r < 0)
		return log_errno(r, "open the cgroup %s of machine %s", machine->cgroup,
				 machine->name);
	r = choose_path(e);
	if (r >= 0)
		r = make_environment(e, request);
	if (r >= 0)
		r = make_command(e, request);
	if (r < 0)
		return log_oom();
	memcpy(job->stdio, request->stdio, sizeof(job->stdio));
	job->new_session = request->new_session;
	if (request->seccomp)
		job->seccomp = *request->seccomp;
	job->scoped = machine->scoped;
	job->uid = e->user.uid;
	job->gid = e->user.gid;
	job->groups = e->user.groups;
	job->n_groups = e->user.group_count;
	job->chdir = request->chdir ? request->chdir : e->user.home;
	job->chdir_is_home = !request->chdir;
	job->programs = e->programs;
	job->argv = e->argv;
	job->environment = e->environment;
	return 0;
}

/* The waiter, born in the machine's cgroup. */
static pid_t clone_waiter(const struct entering *e)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	pid_t pid;

	if (e->cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)e->cgroup_fd;
	}
	pid = sys_clone3(&args, sizeof(args));
	if (pid == 0)
		enter_child_run(e->packed);
	return pid;
}

static void end_waiter(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static const char *stage_text(uint32_t stage)
{
#define ENTER_STAGE_TEXT(id, text) text,
	static const char *const texts[] = {ENTER_STAGES(ENTER_STAGE_TEXT)};

	return stage < ARRAY_SIZE(texts) ? texts[stage] : "enter";
}

static int say_failure(const struct entering *e, const char *machine,
		       const struct enter_report *report)
{
	int r = report->error;

	/* Not the number itself: ENOENT means a program that is missing. */
	if (report->stage == ENTER_STAGE_CHDIR) {
		(void)log_errno(r, "change to directory %s in machine %s", e->job.chdir, machine);
		return -ENOTDIR;
	}
	if (report->stage != ENTER_STAGE_EXEC)
		return log_errno(r, "%s of machine %s", stage_text(report->stage), machine);
	if (r == -ENOENT && !strchr(e->argv[0], '/'))
		return log_error(r, "machine %s has no program '%s' in %s", machine, e->argv[0],
				 e->path);
	return log_errno(r, "execute %s in machine %s", e->programs[0], machine);
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       info.si_pid == pid;
}

/*
 * Until the program runs, or has failed to. The machine may hold that up for as long as it likes
 * (a program on a FUSE of its own), so a person must be able to leave.
 */
static int await_report(const struct enter_report *report, pid_t waiter, const sigset_t *waited)
{
	const struct timespec again = {.tv_nsec = LOOK_AGAIN_NS};

	for (;;) {
		bool ended = has_ended(waiter);
		int signal;

		if (__atomic_load_n(&report->state, __ATOMIC_ACQUIRE) != ENTER_STATE_UNKNOWN)
			return 0;
		if (ended)
			return -ECHILD;
		signal = sigtimedwait(waited, NULL, &again);
		if (signal > 0 && signal != SIGCHLD)
			return -EINTR;
	}
}

static int follow(const struct entering *e, const struct machine_state *machine, pid_t waiter,
		  const sigset_t *waited, pid_t *ret_pid)
{
	const struct enter_report *report = e->packed->report;
	int r = await_report(report, waiter, waited);

	if (r >= 0 && report->state == ENTER_STATE_STARTED) {
		*ret_pid = waiter;
		return 0;
	}
	end_waiter(waiter);
	if (r == -EINTR)
		return log_error(r, "interrupted before '%s' ran in machine %s", e->argv[0],
				 machine->name);
	if (r < 0)
		return log_error(r, "the process that entered machine %s was killed on the way",
				 machine->name);
	return say_failure(e, machine->name, report);
}

static int enter(struct entering *e, const struct machine_state *machine, const sigset_t *waited,
		 pid_t *ret_pid)
{
	pid_t waiter;
	int r;

	e->job.caller = getpid();
	r = enter_job_pack(&e->job, &e->packed);
	waiter = r < 0 ? r : clone_waiter(e);
	if (waiter > 0)
		return follow(e, machine, waiter, waited, ret_pid);
	return log_errno(waiter, "start a process in the cgroup of machine %s", machine->name);
}

int machine_enter(const struct machine_state *machine, const struct enter_request *request,
		  pid_t *ret_pid)
{
	static const int waited_for[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
	autocall(entering_done) struct entering e = {.root_fd = -1, .cgroup_fd = -1};
	sigset_t waited, before;
	int r;

	r = prepare(&e, machine, request);
	if (r < 0)
		return r;
	give_stdio(&e, machine, request);
	(void)sigemptyset(&waited);
	for (size_t i = 0; i < ARRAY_SIZE(waited_for); i++)
		(void)sigaddset(&waited, waited_for[i]);
	(void)sigprocmask(SIG_BLOCK, &waited, &before);
	r = enter(&e, machine, &waited, ret_pid);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
