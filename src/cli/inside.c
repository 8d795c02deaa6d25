// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs in machines, connected to the caller. Must never hand over a terminal of the caller's
 * (T01), and always with the filter of the machine's own processes. Caller's side.
 */
#include "cli/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/relay.h"
#include "host/seccomp.h"
#include "lib/fd.h"
#include "log/log.h"
#include "machine/enter.h"
#include "machine/registry.h"
#include "machine/selfexe.h"
#include "term/session.h"

int inside_exit_code(int r)
{
	return r >= 0 ? r : r == -ENOENT ? 127 : r == -EACCES || r == -ENOEXEC ? 126 : 1;
}

/* A machine that was just claimed, or is between two boots, has nothing that could be entered. */
static int read_confinement(const struct machine_state *machine, uint64_t *ret_caps,
			    bool *ret_user_namespace)
{
	int r = machine_read_confinement(machine, ret_caps, ret_user_namespace);

	if (r == -ESRCH) {
		(void)log_error(r, "machine %s has no PID 1 at the moment: it is %s", machine->name,
				machine_phase_name(machine->phase));
		log_hint("try again when redd list shows it as running");
		return r;
	}
	return r < 0 ? log_errno(r, "read what confines machine %s", machine->name) : 0;
}

int inside_enter(const struct machine_state *machine, struct enter_request *request, pid_t *ret_pid)
{
	autofree struct seccomp_program *program = NULL;
	struct sock_fprog filter;
	bool user_namespace;
	uint64_t caps;
	int r;

	r = read_confinement(machine, &caps, &user_namespace);
	if (r < 0)
		return r;
	/* A user namespace that PID 1 made by itself counts for nothing. */
	r = seccomp_select(caps,
			   seccomp_holds(machine->uid_shift,
					 user_namespace ? machine->uid_range : 0, machine->vsock),
			   &program);
	if (r < 0)
		return log_oom();
	filter = (struct sock_fprog){.len = program->length, .filter = program->filter};
	request->seccomp = &filter;
	r = machine_enter(machine, request, ret_pid);
	request->seccomp = NULL;
	return r;
}

static int status_to_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_on_pty(const struct machine_state *machine, struct enter_request *request)
{
	struct session session = {.machine = machine->name, .greet = !request->argv};
	autoclose int master = -1, slave = -1;
	enum session_end end;
	unsigned number;
	int r, status;

	r = machine_open_pty(machine, &master, &slave, &number);
	if (r < 0)
		return log_errno(r, "open a terminal in machine %s", machine->name);
	for (int i = 0; i < 3; i++) {
		request->stdio[i] = slave;
		request->own_stdio[i] = true;
	}
	request->new_session = true;
	r = inside_enter(machine, request, &session.child);
	if (r < 0)
		return r;
	(void)close(take_fd(&slave));
	session.stream = master;
	r = session_run(&session, &end, &status);
	if (r < 0)
		return r;
	if (end == SESSION_END_ESCAPE)
		(void)fprintf(stderr, "\nSession with machine %s closed.\n", machine->name);
	return end == SESSION_END_ESCAPE ? 0 : status_to_code(status);
}

/* There is nothing to read in one, and written to it can't be. */
static int refuse_directories(void)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (fstat(i, &st) == 0 && S_ISDIR(st.st_mode))
			return log_error(-EISDIR, "standard %s is a directory: refused",
					 i == 0 ? "input" : "output");
	}
	return 0;
}

/*
 * What could not be written must not look like success. A reader that goes away has seen enough:
 * the program's own end by SIGPIPE tells it.
 */
static int tell_lost_output(const struct relay *relay, int code)
{
	for (int i = 1; i < 3; i++) {
		int error = relay->write_error[i];

		if (error == 0 || error == -EPIPE)
			continue;
		(void)log_errno(error, "write standard %s of the command",
				i == STDOUT_FILENO ? "output" : "error");
		if (code == 0 || code == 128 + SIGPIPE)
			code = EXIT_FAILURE;
	}
	return code;
}

static int run_on_pipes(const struct machine_state *machine, struct enter_request *request,
			bool pass_stdio)
{
	struct relay relay;
	int r, status;
	pid_t child;

	r = refuse_directories();
	if (r < 0)
		return r;
	r = relay_open(&relay, pass_stdio);
	if (r < 0)
		return log_errno(r, "make a pipe");
	for (int i = 0; i < 3; i++) {
		request->stdio[i] = relay.inner[i];
		request->own_stdio[i] = relay.outer[i] >= 0;
	}
	request->new_session = false;
	r = inside_enter(machine, request, &child);
	relay_release(&relay);
	if (r < 0)
		return r;
	r = relay_run(&relay, child, &status);
	if (r < 0)
		return log_errno(r, "wait for the command");
	return tell_lost_output(&relay, status_to_code(status));
}

int inside_protect(const struct machine_state *machine)
{
	bool user_namespace;
	uint64_t caps;
	int r = read_confinement(machine, &caps, &user_namespace);

	if (r < 0)
		return r;
	/* Unless it is shifted, or if PID 1 made it by itself, the host's root, who owns our
	 * program, may be its root too. */
	if (user_namespace && machine->uid_range > 0 && machine->uid_shift > 0)
		return 0;
	r = selfexe_protect();
	return r < 0 ? log_errno(r, "execute redd from a read-only mount") : 0;
}

int inside_run(const struct machine_state *machine, struct enter_request *request, bool pass_stdio)
{
	int r = inside_protect(machine);

	if (r < 0)
		return r;
	r = session_block_signals();
	if (r < 0)
		return log_errno(r, "block signals");
	return session_has_terminal() ? run_on_pty(machine, request)
				      : run_on_pipes(machine, request, pass_stdio);
}

int inside_run_quietly(const struct machine_state *machine, struct enter_request *request)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r, status;
	pid_t child;

	if (null < 0)
		return log_errno(-errno, "open /dev/null");
	for (int i = 0; i < 3; i++)
		request->stdio[i] = null;
	r = inside_enter(machine, request, &child);
	if (r < 0)
		return r;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return status_to_code(status);
}
