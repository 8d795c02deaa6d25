// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The way into a machine: a helper joins its namespaces, then makes the process as a child of its
 * own parent, so that the caller can wait for the program itself. Must never be readable for the
 * machine before exec (X03: not dumpable), hold a descriptor of the host's other than 0, 1, 2
 * (X02), or do anything but system calls once inside. Child side.
 */
#include "machine/enter_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernel/sys.h"

#define FD_HIGH 16
#define CAP_NUMBER_MAX 63

/* Fails the entering: tells the parent and ends. */
static void fail(int report_fd, enum enter_stage stage, int error) __attribute__((noreturn));
static void fail(int report_fd, enum enter_stage stage, int error)
{
	struct enter_report report = {.stage = stage, .error = error};

	(void)!write(report_fd, &report, sizeof(report));
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
static int raise_fds(int stdio[3], int *report_fd)
{
	int *all[] = {&stdio[0], &stdio[1], &stdio[2], report_fd};

	for (int i = 0; i < 4; i++) {
		*all[i] = fcntl(*all[i], F_DUPFD_CLOEXEC, FD_HIGH);
		if (*all[i] < 0)
			return -errno;
	}
	return 0;
}

/* Afterwards 0, 1, 2 and the report at 3, close-on-exec, are all there is. */
static int arrange_fds(const struct enter_job *job, int *report_fd)
{
	int stdio[3] = {job->stdio[0], job->stdio[1], job->stdio[2]};
	int r = raise_fds(stdio, report_fd);

	for (int i = 0; i < 3 && r >= 0; i++)
		r = (int)SYS_RESULT(dup2(stdio[i], i));
	if (r >= 0)
		r = (int)SYS_RESULT(dup3(*report_fd, 3, O_CLOEXEC));
	if (r < 0)
		return r;
	*report_fd = 3;
	return sys_close_range(4, ~0U, 0);
}

/* Always a session of its own: with the caller's, /dev/tty inside would be the host's (T01). */
static int leave_session(bool take_terminal)
{
	int r = (int)SYS_RESULT(setsid());

	if (r >= 0 && take_terminal)
		r = (int)SYS_RESULT(ioctl(STDIN_FILENO, TIOCSCTTY, 0));
	return r;
}

static int drop_bounding(uint64_t keep)
{
	for (unsigned cap = 0; cap <= CAP_NUMBER_MAX; cap++) {
		if (keep >> cap & 1)
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

/* Permitted and effective: what is kept; inheritable: nothing (X04, CVE-2022-24769). */
static int set_caps(uint64_t keep)
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

static int set_user(const struct enter_job *job)
{
	int r = (int)SYS_RESULT(syscall(SYS_setgroups, job->n_groups, job->groups));

	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresgid, job->gid, job->gid, job->gid));
	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresuid, job->uid, job->uid, job->uid));
	/* From an unmapped uid the kernel does not clear the sets by itself. */
	return r < 0 ? r : set_caps(job->uid == 0 ? job->caps_bounding : 0);
}

/* A change of ids resets both. */
static int hide_and_follow(bool follow)
{
	int r = (int)SYS_RESULT(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));

	if (r >= 0)
		r = (int)SYS_RESULT(prctl(PR_SET_PDEATHSIG, follow ? SIGKILL : 0, 0, 0, 0));
	return r;
}

static int install_seccomp(const struct enter_job *job)
{
	if (job->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!job->seccomp)
		return 0;
	return (int)SYS_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, job->seccomp));
}

/* No magic link may lead out (P07), and the place must be within the root. */
static int change_directory(const char *path)
{
	char name[4096];
	int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
			     RESOLVE_NO_MAGICLINKS);
	int r;

	if (fd < 0)
		return fd;
	r = (int)SYS_RESULT(fchdir(fd));
	(void)close(fd);
	if (r < 0)
		return r;
	r = (int)SYS_RESULT(syscall(SYS_getcwd, name, sizeof(name)));
	return r < 0 ? r : name[0] == '/' ? 0 : -EXDEV;
}

static int find_directory(const struct enter_job *job)
{
	int r = change_directory(job->chdir);

	return r < 0 && job->chdir_is_home ? change_directory("/") : r;
}

static int join_keyring(void)
{
	int r = (int)SYS_RESULT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));

	/* A kernel without keys has none to leak. */
	return r == -ENOSYS ? 0 : r;
}

/* As a shell searches: a place where it is not is passed over, one where it may not be noted. */
static int execute(const struct enter_job *job)
{
	sigset_t none;
	int error = -ENOENT;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (char *const *program = job->programs; *program; program++) {
		(void)execve(*program, job->argv, job->environment);
		if (errno == EACCES)
			error = -EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return -errno;
	}
	return error;
}

static void run_inside(const struct enter_job *job) __attribute__((noreturn));
static void run_inside(const struct enter_job *job)
{
	int report = job->report_fd;
	enum enter_stage stage = ENTER_STAGE_PREPARE;
	int r = arrange_fds(job, &report);

#define STEP(id, call)                                                                             \
	if (r >= 0) {                                                                              \
		stage = ENTER_STAGE_##id;                                                          \
		r = (call);                                                                        \
	}
	STEP(TERMINAL, leave_session(job->new_session))
	STEP(KEYRING, join_keyring())
	STEP(SECCOMP, install_seccomp(job))
	STEP(CAPS, drop_bounding(job->caps_bounding))
	STEP(CAPS, drop_ambient())
	STEP(USER, set_user(job))
	STEP(PREPARE, hide_and_follow(job->kill_with_caller))
	STEP(CHDIR, find_directory(job))
	STEP(EXEC, execute(job))
#undef STEP
	fail(report, stage, r);
}

static void wait_for_parent(int go_fd)
{
	char byte;

	/* When the parent ends instead, the signal of its death ends this. */
	while (read(go_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

void enter_child_run(const struct enter_job *job)
{
	/* exit_signal stays that of this helper: the parent sees the process as its own child. */
	struct clone_args args = {.flags = CLONE_PARENT};
	struct enter_report report = {};
	int r = hide_and_follow(true);

	if (r < 0)
		fail(job->report_fd, ENTER_STAGE_PREPARE, r);
	wait_for_parent(job->go_fd);
	set_oom_score(job);
	r = reset_process(job);
	if (r < 0)
		fail(job->report_fd, ENTER_STAGE_PREPARE, r);
	r = job->namespaces ? (int)SYS_RESULT(setns(job->pidfd, job->namespaces)) : 0;
	if (r < 0)
		fail(job->report_fd, ENTER_STAGE_NAMESPACES, r);
	/* The leader may have moved its root since: it is the machine's, not the namespace's. */
	r = (int)SYS_RESULT(fchdir(job->root_fd));
	if (r >= 0)
		r = (int)SYS_RESULT(chroot("."));
	if (r < 0)
		fail(job->report_fd, ENTER_STAGE_ROOT, r);
	report.pid = sys_clone3(&args, sizeof(args));
	if (report.pid < 0)
		fail(job->report_fd, ENTER_STAGE_FORK, report.pid);
	if (report.pid == 0)
		run_inside(job);
	(void)!write(job->report_fd, &report, sizeof(report));
	_exit(EXIT_SUCCESS);
}
