// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The maker, on its way into a machine. What it makes is the machine's from its first instruction
 * on: must never make it while holding a descriptor of the host's other than 0, 1, 2 (X02), or
 * memory, an id or a capability that the program is not going to have (X03). Runs in the waiter's
 * memory while that is suspended. System calls only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "kernel/sys.h"
#include "lib/macro.h"
#include "machine/enter_child.h"

#define FD_HIGH 16
#define CAP_NUMBER_MAX 63

/* Not the waiter's: where redd has no CAP_SYS_RESOURCE, its own user may have used them up. */
static int set_limits(const struct enter_job *job)
{
	int r = 0;

	for (int i = 0; i < RLIM_NLIMITS && r >= 0; i++)
		r = sys_setrlimit_allowed(i, job->limits[i]);
	return r;
}

static int join_namespaces(const struct enter_job *job)
{
	/* It was born in that of time. */
	int others = job->namespaces & ~CLONE_NEWTIME;

	return others ? (int)SYS_RESULT(setns(job->pidfd, others)) : 0;
}

/* The leader may have moved its root since: it is the machine's, not the namespace's. */
static int enter_root(const struct enter_job *job)
{
	int r = (int)SYS_RESULT(fchdir(job->root_fd));

	return r < 0 ? r : (int)SYS_RESULT(chroot("."));
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

/* What is the caller's to read is not the machine's to write. */
static int keep_report(const struct enter_job *job)
{
	return (int)SYS_RESULT(madvise(job->report, sizeof(*job->report), MADV_DONTFORK));
}

static int join_keyring(void)
{
	int r = (int)SYS_RESULT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));

	/* A kernel without keys has none to leak. */
	return r == -ENOSYS ? 0 : r;
}

/* Of the real user who makes it; and later the filter forbids to make one. */
static int make_keyring(const struct enter_job *job)
{
	int r = (int)SYS_RESULT(syscall(SYS_setresgid, job->gid, -1, -1));

	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresuid, job->uid, -1, -1));
	return r < 0 ? r : join_keyring();
}

static int install_seccomp(const struct enter_job *job)
{
	if (job->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (job->seccomp.len == 0)
		return 0;
	return (int)SYS_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &job->seccomp));
}

static int drop_bounding(uint64_t keep)
{
	for (unsigned cap = 0; cap <= CAP_NUMBER_MAX; cap++) {
		if (keep & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* beyond the last one */
	}
	return 0;
}

static int drop_ambient(void)
{
	int r = (int)SYS_RESULT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));

	return r < 0 ? r : (int)SYS_RESULT(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}

/* While CAP_SETPCAP is there, which the user may not have. */
static int limit_caps(const struct enter_job *job)
{
	int r = drop_bounding(job->caps_bounding);

	return r < 0 ? r : drop_ambient();
}

static int become_user(const struct enter_job *job)
{
	int r = (int)SYS_RESULT(syscall(SYS_setgroups, job->n_groups, job->groups));

	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresgid, job->gid, job->gid, job->gid));
	if (r >= 0)
		r = (int)SYS_RESULT(syscall(SYS_setresuid, job->uid, job->uid, job->uid));
	/* From an unmapped uid the kernel does not clear the sets by itself. */
	return r < 0 ? r : enter_set_caps(job->uid == 0 ? job->caps_bounding : 0);
}

/* It is the waiter's child, as this process is, and runs on a stack of its own: this one's memory
 * is not there. */
static int clone_inside(struct enter_birth *birth)
{
	int flags = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_VFORK | SIGCHLD;
	int pid = clone(enter_inside_run, birth->job->stack_top, flags, (void *)birth->job,
			&birth->inside, NULL, NULL);

	return (int)SYS_RESULT(pid);
}

RUNS_ON_GIVEN_STACK int enter_maker_run(void *argument)
{
	struct enter_birth *birth = argument;
	const struct enter_job *job = birth->job;
	enum enter_stage stage = ENTER_STAGE_PREPARE;
	int r = set_limits(job);

#define STEP(id, call)                                                                             \
	if (r >= 0) {                                                                              \
		stage = ENTER_STAGE_##id;                                                          \
		r = (call);                                                                        \
	}
	STEP(NAMESPACES, join_namespaces(job))
	STEP(ROOT, enter_root(job))
	STEP(PREPARE, arrange_fds(job))
	STEP(PREPARE, memory_advise(&job->private, &job->place, MADV_DONTFORK))
	STEP(PREPARE, keep_report(job))
	STEP(KEYRING, make_keyring(job))
	STEP(SCOPE, job->scoped ? sys_landlock_scope_abstract_sockets() : 0)
	STEP(SECCOMP, install_seccomp(job))
	STEP(CAPS, limit_caps(job))
	STEP(USER, become_user(job))
	/* The last of these: a change of ids resets it. */
	STEP(PREPARE, enter_hide_and_follow(SIGKILL))
	if (r >= 0 && getppid() != birth->waiter)
		_exit(EXIT_FAILURE);
	STEP(FORK, clone_inside(birth))
#undef STEP
	if (r < 0)
		enter_fail(job, stage, r);
	birth->is_over = true;
	_exit(EXIT_SUCCESS);
}
