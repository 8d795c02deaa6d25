// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The way into a machine: a waiter joins its cgroup and namespaces, takes off all that is the
 * host's, and then makes the process inside. Must never clone while it holds a descriptor of the
 * host's other than 0, 1, 2 (X02), memory or a capability that the machine must not have (X03), and
 * make system calls only.
 */
#include "machine/enter_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/sys.h"

#define FD_HIGH 16
#define CAP_NUMBER_MAX 63
#define CAP_BIT(cap) (UINT64_C(1) << (cap))
/* What the process inside needs to become its user, whatever the machine has; and the waiter, to
 * signal it. */
#define CAPS_TO_ENTER (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_KILL))

/* The errors that the kernel has: MAX_ERRNO. */
#define ERROR_MAX 4095

void enter_tell(struct enter_report *report, enum enter_state state, enum enter_stage stage,
		int error)
{
	report->stage = stage;
	report->error = error;
	__atomic_store_n(&report->state, (uint32_t)state, __ATOMIC_RELEASE);
}

struct enter_report enter_read_inside(const struct enter_report *inside)
{
	const volatile struct enter_report *shared = inside;
	struct enter_report report = {
		.state = __atomic_load_n(&inside->state, __ATOMIC_ACQUIRE),
		.stage = shared->stage,
		.error = shared->error,
	};
	bool is_honest = report.stage >= ENTER_STAGE_TERMINAL && report.stage < ENTER_STAGE_COUNT &&
			 report.error < 0 && report.error >= -ERROR_MAX;

	if (report.state == ENTER_STATE_UNKNOWN)
		return (struct enter_report){.state = ENTER_STATE_STARTED};
	if (report.state == ENTER_STATE_FAILED && is_honest)
		return report;
	return (struct enter_report){
		.state = ENTER_STATE_FAILED, .stage = ENTER_STAGE_FORK, .error = -EPROTO};
}

/* The caller looks when it hears of a child; if it can't be told, it looks now and then. */
static void tell_caller(const struct enter_job *job, const struct enter_report *report)
{
	enter_tell(job->report, (enum enter_state)report->state, (enum enter_stage)report->stage,
		   report->error);
	if (getppid() == job->caller)
		(void)kill(job->caller, SIGCHLD);
}

/* Fails the entering: tells the caller and ends. */
static void fail(const struct enter_job *job, enum enter_stage stage, int error)
	__attribute__((noreturn));
static void fail(const struct enter_job *job, enum enter_stage stage, int error)
{
	enter_tell(job->report, ENTER_STATE_FAILED, stage, error);
	_exit(EXIT_FAILURE);
}

/* Only while /proc is still the host's (P04). */
static void set_oom_score(const struct enter_job *job)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, job->oom_score, strlen(job->oom_score));
	(void)close(fd);
}

/* By itself: the kernel then needs no lock that all forks of the host wait for. */
static int join_v1(const struct enter_job *job)
{
	for (size_t i = 0; i < job->v1_count; i++)
		if (write(job->v1_tasks[i], "0", 1) < 0)
			return -errno;
	return 0;
}

static int reset_process(const struct enter_job *job)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} action = {};
	struct sched_param normal = {};
	int r = 0;

	/* The raw call: libc's refuses the two signals that its threads use. */
	for (int signal = 1; signal < NSIG; signal++)
		(void)syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof(action.mask));
	(void)umask(022);
	(void)sched_setscheduler(0, SCHED_OTHER, &normal);
	(void)setpriority(PRIO_PROCESS, 0, 0);
	(void)personality(job->personality);
	for (int i = 0; i < RLIM_NLIMITS && r >= 0; i++)
		r = sys_setrlimit_allowed(i, job->limits[i]);
	return r;
}

/* Above 2, so that no dup2() below overwrites one that is still needed. */
static int raise_fds(int stdio[3])
{
	for (int i = 0; i < 3; i++) {
		stdio[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, FD_HIGH);
		if (stdio[i] < 0)
			return -errno;
	}
	return 0;
}

/* Afterwards 0, 1 and 2 are all there is. */
static int arrange_fds(const struct enter_job *job)
{
	int stdio[3] = {job->stdio[0], job->stdio[1], job->stdio[2]};
	int r = raise_fds(stdio);

	for (int i = 0; i < 3 && r >= 0; i++)
		r = (int)SYS_RESULT(dup2(stdio[i], i));
	return r < 0 ? r : sys_close_range(3, ~0U, 0);
}

static int drop_bounding(uint64_t keep)
{
	for (unsigned cap = 0; cap <= CAP_NUMBER_MAX; cap++) {
		if (keep & CAP_BIT(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* beyond the last one */
	}
	return 0;
}

static int drop_ambient(void)
{
	int r = (int)SYS_RESULT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));

	if (r >= 0)
		r = (int)SYS_RESULT(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
	return r;
}

int enter_set_caps(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};
	int r = (int)SYS_RESULT(syscall(SYS_capget, &header, data));

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return (int)SYS_RESULT(syscall(SYS_capset, &header, data));
}

int enter_hide_and_follow(int signal)
{
	int r = (int)SYS_RESULT(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));

	return r < 0 ? r : (int)SYS_RESULT(prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0));
}

static int install_seccomp(const struct enter_job *job)
{
	if (job->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (job->seccomp.len == 0)
		return 0;
	return (int)SYS_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &job->seccomp));
}

static int set_real_ids(uint32_t uid, uint32_t gid)
{
	int r = (int)SYS_RESULT(syscall(SYS_setresgid, gid, -1, -1));

	return r < 0 ? r : (int)SYS_RESULT(syscall(SYS_setresuid, uid, -1, -1));
}

static int join_keyring(void)
{
	int r = (int)SYS_RESULT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));

	/* A kernel without keys has none to leak. */
	return r == -ENOSYS ? 0 : r;
}

/*
 * A keyring belongs to the real user who makes it, and later the filter forbids to make one. The
 * machine's root stays the waiter's real user: others of the machine may exist on the host.
 */
static int make_keyring(const struct enter_job *job)
{
	int r = set_real_ids(job->uid, job->gid);

	if (r >= 0)
		r = join_keyring();
	return r < 0 ? r : set_real_ids(0, 0);
}

/* The last of the privileges: whoever traces the process inside has what that has. */
static int drop_caps(const struct enter_job *job)
{
	int r = drop_bounding(job->caps_bounding);

	if (r >= 0)
		r = drop_ambient();
	return r < 0 ? r : enter_set_caps(job->caps_bounding | CAPS_TO_ENTER);
}

static void wait_for_caller(const struct enter_job *job)
{
	ssize_t n;
	char byte;

	do
		n = read(job->go_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(EXIT_FAILURE);
}

/* Of the host's world, while its /proc is at hand and the caller can still be told apart. */
static int prepare(const struct enter_job *job)
{
	sigset_t all;
	int r = enter_hide_and_follow(SIGKILL);

	if (r < 0)
		return r;
	/* One that ended before that sends no signal. */
	if (getppid() != job->caller)
		_exit(EXIT_FAILURE);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	wait_for_caller(job);
	set_oom_score(job);
	(void)prctl(PR_SET_NAME, "redd-enter");
	r = reset_process(job);
	/* Stopping the caller's job by ^Z must not stop this. */
	return r < 0 ? r : (int)SYS_RESULT(setsid());
}

/* The leader may have moved its root since: it is the machine's, not the namespace's. */
static int enter_root(const struct enter_job *job)
{
	int r = (int)SYS_RESULT(fchdir(job->root_fd));

	return r < 0 ? r : (int)SYS_RESULT(chroot("."));
}

static void take_off(const struct enter_job *job)
{
	enum enter_stage stage = ENTER_STAGE_PREPARE;
	int r = prepare(job);

#define STEP(id, call)                                                                             \
	if (r >= 0) {                                                                              \
		stage = ENTER_STAGE_##id;                                                          \
		r = (call);                                                                        \
	}
	STEP(CGROUP, join_v1(job))
	STEP(NAMESPACES, job->namespaces ? (int)SYS_RESULT(setns(job->pidfd, job->namespaces)) : 0)
	STEP(ROOT, enter_root(job))
	STEP(PREPARE, arrange_fds(job))
	STEP(PREPARE, memory_advise(&job->private, &job->place, MADV_DONTFORK))
	STEP(KEYRING, make_keyring(job))
	STEP(SCOPE, job->scoped ? sys_landlock_scope_abstract_sockets() : 0)
	STEP(SECCOMP, install_seccomp(job))
	STEP(CAPS, drop_caps(job))
	/* A change of ids has reset it. Until the process has executed both end with the caller. */
	STEP(PREPARE, enter_hide_and_follow(SIGKILL))
#undef STEP
	if (r < 0)
		fail(job, stage, r);
	if (getppid() != job->caller)
		_exit(EXIT_FAILURE);
}

/* Back when it has executed, or ended. It runs on a stack of its own: this one is not there. */
static pid_t clone_inside(const struct enter_job *job)
{
	int pid = clone(enter_inside_run, job->stack_top, CLONE_VFORK | SIGCHLD, (void *)job);

	return (pid_t)SYS_RESULT(pid);
}

static void end_inside(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void enter_child_run(const struct enter_job *job)
{
	struct enter_report report;
	pid_t pid;

	take_off(job);
	/* What is the caller's to read is not the machine's to write. */
	if (madvise(job->report, sizeof(*job->report), MADV_DONTFORK) < 0)
		fail(job, ENTER_STAGE_FORK, -errno);
	pid = clone_inside(job);
	if (pid < 0)
		fail(job, ENTER_STAGE_FORK, pid);
	report = enter_read_inside(job->inside);
	if (report.state == ENTER_STATE_FAILED)
		end_inside(pid);
	(void)sys_close_range(0, ~0U, 0);
	(void)enter_set_caps(CAP_BIT(CAP_KILL));
	(void)enter_hide_and_follow(SIGHUP);
	tell_caller(job, &report);
	if (report.state == ENTER_STATE_FAILED)
		_exit(EXIT_FAILURE);
	enter_wait(job, pid);
}
