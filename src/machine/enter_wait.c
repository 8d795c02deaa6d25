// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The parent of a process inside. The kernel lets no PID 1 end before all processes of its
 * namespace are reaped, and those who enter are reaped by their parent outside: were that the
 * caller, who can be stopped by ^Z or a debugger, the machine would not end. The waiter has a
 * session, no descriptor, no memory of interest and CAP_KILL alone. It must never leave the process
 * behind, nor outlive it. System calls only.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/sys.h"
#include "lib/macro.h"
#include "machine/enter_child.h"

/* How long a process has between SIGHUP and SIGKILL once its caller is gone. */
#define GRACE_SECONDS 5

/* What a caller, or anybody on the host who takes the waiter for the program, may send. */
static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

static bool is_caller_gone(const struct enter_job *job)
{
	return getppid() != job->caller;
}

/* Its group too: what a shell has started, unless it has gone into a group or session of its own.
 */
static void signal_group(pid_t pid, int signal)
{
	(void)kill(-pid, signal);
	(void)kill(pid, signal);
}

static void hang_up(pid_t pid)
{
	signal_group(pid, SIGHUP);
	signal_group(pid, SIGCONT);
}

static void leave_if_ended(pid_t pid)
{
	siginfo_t info = {};

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid != pid)
		return;
	_exit(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
}

static void wait_set(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		(void)sigaddset(set, passed_on[i]);
}

void enter_wait(const struct enter_job *job, pid_t pid)
{
	struct timespec grace = {.tv_sec = GRACE_SECONDS};
	bool is_hanging_up = false;
	sigset_t set;

	wait_set(&set);
	for (;;) {
		int signal;

		leave_if_ended(pid);
		if (!is_hanging_up && is_caller_gone(job)) {
			is_hanging_up = true;
			hang_up(pid);
		}
		signal = is_hanging_up ? sigtimedwait(&set, NULL, &grace) : sigwaitinfo(&set, NULL);
		if (signal < 0 && errno == EAGAIN)
			signal_group(pid, SIGKILL);
		else if (signal > 0 && signal != SIGCHLD && !is_caller_gone(job))
			(void)kill(pid, signal);
	}
}
