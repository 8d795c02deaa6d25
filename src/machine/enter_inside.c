// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process inside a machine, from its birth to exec. Everything here happens under the eyes of
 * the machine, which may stop it, trace it (with CAP_SYS_PTRACE and no user namespace) and have it
 * do what it likes: it must never need anything that the machine must not have. System calls only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "kernel/sys.h"
#include "lib/macro.h"
#include "machine/enter_child.h"

/* Always a session of its own: with the caller's, /dev/tty inside would be the host's (T01). */
static int leave_session(bool take_terminal)
{
	int r = (int)SYS_RESULT(setsid());

	if (r >= 0 && take_terminal)
		r = (int)SYS_RESULT(ioctl(STDIN_FILENO, TIOCSCTTY, 0));
	return r;
}

int enter_change_directory(const char *path)
{
	char name[4096];
	int r = sys_chdir_no_magiclinks(path);

	if (r < 0)
		return r;
	r = (int)SYS_RESULT(syscall(SYS_getcwd, name, sizeof(name)));
	return r < 0 ? r : name[0] == '/' ? 0 : -EXDEV;
}

static int find_directory(const struct enter_job *job)
{
	int r = enter_change_directory(job->chdir);

	return r < 0 && job->chdir_is_home ? enter_change_directory("/") : r;
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

RUNS_ON_GIVEN_STACK int enter_inside_run(void *argument)
{
	const struct enter_job *job = argument;
	enum enter_stage stage = ENTER_STAGE_TERMINAL;
	int r = enter_hide_and_follow(SIGKILL);

#define STEP(id, call)                                                                             \
	if (r >= 0) {                                                                              \
		stage = ENTER_STAGE_##id;                                                          \
		r = (call);                                                                        \
	}
	STEP(TERMINAL, leave_session(job->new_session))
	STEP(CHDIR, find_directory(job))
	STEP(EXEC, execute(job))
#undef STEP
	enter_tell(job->inside, ENTER_STATE_FAILED, stage, r);
	_exit(EXIT_FAILURE);
}
