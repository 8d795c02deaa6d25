// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The loop behind login, shell and console. Must never return with the terminal raw, nor reap a
 * process that is not its own child. Caller's side.
 */
#include "term/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/time.h"
#include "log/log.h"
#include "term/ptyforward.h"

#define GETTY_PAUSE_US (2 * USEC_PER_SEC)
#define GETTY_START_US (30 * USEC_PER_SEC)

static const int handled[] = {SIGCHLD, SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT};

struct running {
	const struct session *session;
	struct event_loop *loop;
	struct ptyforward *forward;
	enum session_end end;
	int status;
	bool reaped;
	uint64_t hung_since_us; /* monotonic; 0: the line is up */
};

static void handled_set(sigset_t *set)
{
	(void)sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		(void)sigaddset(set, handled[i]);
}

int session_block_signals(void)
{
	sigset_t set;

	handled_set(&set);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

bool session_has_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void finish(struct running *running, enum session_end end)
{
	running->end = end;
	event_exit(running->loop, 0);
}

static void reap(struct running *running)
{
	pid_t child = running->session->child;

	if (child <= 0 || running->reaped || waitpid(child, &running->status, WNOHANG) != child)
		return;
	running->reaped = true;
	finish(running, SESSION_END_CHILD);
}

static int on_signal(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	struct running *running = userdata;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGCHLD)
		reap(running);
	else if (info.ssi_signo == SIGWINCH)
		ptyforward_resize(running->forward);
	else
		finish(running, SESSION_END_SIGNAL);
	return 0;
}

static int on_key(char key, void *userdata)
{
	finish(userdata, SESSION_END_ESCAPE);
	return 0;
}

static void on_data(const void *data, size_t size, void *userdata)
{
	((struct running *)userdata)->hung_since_us = 0;
}

/*
 * A line without a getty for so long is not coming back. A hangup alone says little: login(1) hangs
 * the line up to have it alone, and a getty service begins anew after each session.
 */
static bool is_getty_back(struct running *running)
{
	bool had_input = ptyforward_had_input(running->forward);
	uint64_t now = time_monotonic_us();

	if (running->hung_since_us == 0)
		running->hung_since_us = now;
	return now - running->hung_since_us < (had_input ? GETTY_PAUSE_US : GETTY_START_US);
}

/* Called again and again while nobody has the line open. */
static bool on_hangup(void *userdata)
{
	struct running *running = userdata;

	if (running->session->child > 0)
		return true;
	if (running->session->getty && is_getty_back(running))
		return true;
	finish(running, SESSION_END_HANGUP);
	return false;
}

static int on_input_end(void *userdata)
{
	finish(userdata, SESSION_END_HANGUP);
	return 0;
}

static void greet(const struct session *session)
{
	if (session->greet)
		(void)fprintf(stderr,
			      "Connected to machine %s. Press ^] three times within 1s to exit "
			      "session.\r\n",
			      session->machine);
}

static int run_loop(struct running *running, int signal_fd)
{
	const struct session *session = running->session;
	struct ptyforward_config config = {
		.stream = session->stream,
		.input = STDIN_FILENO,
		.output = STDOUT_FILENO,
		.framed = session->framed,
		.userdata = running,
		.on_data = on_data,
		.on_key = on_key,
		.on_hangup = on_hangup,
		.on_input_end = on_input_end,
	};
	int r = event_add_fd(running->loop, signal_fd, EPOLLIN, on_signal, running);

	if (r < 0)
		return r;
	greet(session);
	r = ptyforward_new(running->loop, &config, &running->forward);
	if (r < 0)
		return r;
	reap(running);
	r = event_run(running->loop);
	if (r >= 0 && running->end != SESSION_END_ESCAPE)
		ptyforward_drain(running->forward);
	ptyforward_free(running->forward);
	event_remove_fd(running->loop, signal_fd);
	return r;
}

/*
 * A child that does not end with its terminal ends with ours: it hangs up, and is killed some time
 * after this process has ended (machine_enter()).
 */
static void end_child(struct running *running)
{
	pid_t child = running->session->child;

	if (child <= 0 || running->reaped)
		return;
	running->status = SIGHUP; /* as waitpid() has it */
	(void)kill(child, SIGHUP);
	for (int i = 0; i < 50 && waitpid(child, &running->status, WNOHANG) == 0; i++)
		(void)usleep(20 * 1000);
}

int session_run(const struct session *session, enum session_end *ret_end, int *ret_status)
{
	autocall(event_loop_freep) struct event_loop *loop = NULL;
	struct running running = {.session = session};
	autoclose int signal_fd = -1;
	sigset_t set;
	int r;

	handled_set(&set);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return log_errno(-errno, "wait for signals");
	r = event_loop_new(&loop);
	if (r < 0)
		return log_errno(r, "wait for events");
	running.loop = loop;
	r = run_loop(&running, signal_fd);
	end_child(&running);
	if (r < 0)
		return log_errno(r, "forward the terminal of machine %s", session->machine);
	*ret_end = running.end;
	*ret_status = running.status;
	return 0;
}
