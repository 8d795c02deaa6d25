/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PID 1 for --as-pid2: reaps every process, forwards no signal, and exits with the status of PID 2.
 * The signals that ask an init to shut down make it terminate all processes, by SIGTERM first. Runs
 * inside the machine, without descriptors; must only make system calls.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "child/child.h"
#include "kernel/sys.h"

/* How long the processes have between SIGTERM and SIGKILL. */
#define STUB_GRACE_SECONDS 5

static void kill_all(int signal)
{
	(void)kill(-1, signal);
}

/* Exits with the payload's status, as a shell would show it. */
static void __attribute__((noreturn)) leave_as(const siginfo_t *info)
{
	_exit(info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status);
}

/* Reaps what has ended; exits if that was the payload. */
static void reap(pid_t payload)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
			return;
		if (info.si_pid == payload)
			leave_as(&info);
	}
}

static int wait_for_signal(const sigset_t *set, bool is_stopping)
{
	struct timespec grace = {.tv_sec = STUB_GRACE_SECONDS};
	siginfo_t info;
	int r;

	r = is_stopping ? sigtimedwait(set, &info, &grace) : sigwaitinfo(set, &info);
	return r < 0 && errno == EAGAIN ? 0 : r;
}

void child_stub_run(pid_t payload)
{
	bool is_stopping = false;
	sigset_t set;

	(void)prctl(PR_SET_NAME, "redd-stub");
	(void)sigfillset(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	/* The payload may have ended before SIGCHLD was blocked. */
	reap(payload);
	for (;;) {
		int signal = wait_for_signal(&set, is_stopping);

		if (signal == SIGCHLD) {
			reap(payload);
		} else if (signal == 0) {
			kill_all(SIGKILL);
		} else if (signal == SIGTERM || signal == SIGINT || signal == SIGRTMIN + 3 ||
			   signal == SIGRTMIN + 4) {
			is_stopping = true;
			kill_all(SIGTERM);
		}
	}
}
