// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The waiter, who stands outside while a process of its making runs inside. Must never be in a
 * namespace where the machine could name it, and keeps nothing once that process runs (X17). System
 * calls only.
 */
#include "machine/enter_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/sys.h"
#include "lib/macro.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define MAKER_STACK_SIZE ((size_t)16 * 1024)

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

RUNS_ON_GIVEN_STACK void enter_fail(const struct enter_job *job, enum enter_stage stage, int error)
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

static void reset_process(const struct enter_job *job)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} action = {};
	struct sched_param normal = {};

	/* The raw call: libc's refuses the two signals that its threads use. */
	for (int signal = 1; signal < NSIG; signal++)
		(void)syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof(action.mask));
	(void)umask(022);
	(void)sched_setscheduler(0, SCHED_OTHER, &normal);
	(void)setpriority(PRIO_PROCESS, 0, 0);
	(void)personality(job->personality);
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
	set_oom_score(job);
	(void)prctl(PR_SET_NAME, "redd-enter");
	reset_process(job);
	/* Stopping the caller's job by ^Z must not stop this. */
	return (int)SYS_RESULT(setsid());
}

/* Before there is a maker: the kernel lets nobody in who shares memory. */
static int join_time(const struct enter_job *job)
{
	if (!(job->namespaces & CLONE_NEWTIME))
		return 0;
	return (int)SYS_RESULT(setns(job->pidfd, CLONE_NEWTIME));
}

static void get_ready(const struct enter_job *job)
{
	enum enter_stage stage = ENTER_STAGE_PREPARE;
	int r = prepare(job);

#define STEP(id, call)                                                                             \
	if (r >= 0) {                                                                              \
		stage = ENTER_STAGE_##id;                                                          \
		r = (call);                                                                        \
	}
	STEP(CGROUP, join_v1(job))
	STEP(NAMESPACES, join_time(job))
#undef STEP
	if (r < 0)
		enter_fail(job, stage, r);
}

/*
 * Back when the maker is done, or was killed. Its stack is memory of this process, which nobody
 * inside gets.
 */
static pid_t run_maker(struct enter_birth *birth)
{
	_Alignas(16) char stack[MAKER_STACK_SIZE];
	int pid = clone(enter_maker_run, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			birth);

	if (pid < 0)
		enter_fail(birth->job, ENTER_STAGE_PREPARE, -errno);
	return pid;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void end_inside(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	reap(pid);
}

/* For good: what it gives up here not even an exec would bring back. */
static void let_go(void)
{
	(void)sys_close_range(0, ~0U, 0);
	(void)!chdir("/");
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)enter_set_caps(CAP_BIT(CAP_KILL));
	(void)enter_hide_and_follow(SIGHUP);
}

void enter_child_run(const struct enter_job *job)
{
	struct enter_birth birth = {.job = job, .waiter = getpid()};
	struct enter_report report;
	pid_t maker;
	bool is_running;

	get_ready(job);
	maker = run_maker(&birth);
	report = enter_read_inside(job->inside);
	is_running = birth.is_over && report.state == ENTER_STATE_STARTED;
	if (birth.inside > 0 && !is_running)
		end_inside(birth.inside);
	if (birth.is_over) {
		let_go();
		tell_caller(job, &report);
	}
	/* The caller needn't wait for the rest of the maker's end. */
	reap(maker);
	if (!is_running)
		_exit(EXIT_FAILURE);
	enter_wait(job, birth.inside);
}
