// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pipes in place of the caller's streams. Must never hand one of those to a machine unasked, change
 * the flags of a descriptor that other programs share, or wait for one side only. Caller's side.
 */
#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/fd.h"
#include "lib/macro.h"

#define BUFFER_SIZE ((size_t)64 * 1024)
#define POLL_SIGNALS 6

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* One direction. It is over when `to` is -1. */
struct channel {
	int from, to; /* `from` is -1 at its end */
	bool is_output;
	size_t begin, end;
	size_t write_max; /* what `to` takes without blocking once poll() says that it is writable
			   */
	size_t budget;	  /* how much is read yet */
	int error;	  /* -errno of the write that failed; 0 */
	char data[BUFFER_SIZE];
};

struct copying {
	struct channel channels[3]; /* of standard input, output and error */
	pid_t child;
	int status;
	bool has_ended;
	bool is_interrupted; /* while the rest was being written */
};

void relay_release(struct relay *relay)
{
	for (int i = 0; i < 3; i++) {
		if (relay->inner[i] > STDERR_FILENO)
			(void)close(relay->inner[i]);
		relay->inner[i] = -1;
	}
}

static void close_outer(struct relay *relay)
{
	for (int i = 0; i < 3; i++) {
		cleanup_close(&relay->outer[i]);
		relay->outer[i] = -1;
	}
}

static int open_pipe(struct relay *relay, int i)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	relay->inner[i] = ends[i == 0 ? 0 : 1];
	relay->outer[i] = ends[i == 0 ? 1 : 0];
	r = fd_set_nonblock(relay->outer[i], true);
	return r < 0 ? r : 0;
}

int relay_open(struct relay *ret, bool pass)
{
	int r = 0;

	*ret = (struct relay){.inner = {0, 1, 2}, .outer = {-1, -1, -1}};
	for (int i = 0; i < 3 && r >= 0; i++)
		r = pass && !isatty(i) ? 0 : open_pipe(ret, i);
	if (r < 0) {
		relay_release(ret);
		close_outer(ret);
	}
	return r;
}

/* The reader sees the end of the stream, and the number stays taken. Standard error is needed yet.
 */
static void end_output(int fd)
{
	autoclose int null = -1;

	if (fd != STDOUT_FILENO)
		return;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0)
		(void)dup2(null, fd);
}

/* Only the pipe is ours to close. */
static void end_source(struct channel *c)
{
	if (c->is_output && c->from >= 0)
		(void)close(c->from);
	c->from = -1;
}

static void close_channel(const struct copying *copying, struct channel *c)
{
	if (c->to < 0)
		return;
	if (!c->is_output)
		(void)close(c->to);
	else if (!copying->has_ended)
		end_output(c->to);
	end_source(c);
	c->to = -1;
}

static void read_some(struct channel *c)
{
	ssize_t n = read(c->from, c->data, MIN(sizeof(c->data), c->budget));

	if (n > 0) {
		c->begin = 0;
		c->end = (size_t)n;
		c->budget -= (size_t)n;
	}
	if (n == 0 || c->budget == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		end_source(c);
}

/* false: the other side takes no more. */
static bool write_some(struct channel *c)
{
	ssize_t n = write(c->to, c->data + c->begin, MIN(c->end - c->begin, c->write_max));

	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		c->error = -errno;
		return false;
	}
	c->begin += n > 0 ? (size_t)n : 0;
	return true;
}

/* That `to` is gone is told also while nothing is to be written: then the program learns it. */
static void ask_for(const struct channel *c, struct pollfd *from, struct pollfd *to)
{
	bool is_full = c->begin < c->end;

	*from = (struct pollfd){.fd = is_full ? -1 : c->from, .events = POLLIN};
	*to = (struct pollfd){.fd = c->to, .events = is_full ? POLLOUT : 0};
}

static void copy(const struct copying *copying, struct channel *c, const struct pollfd *from,
		 const struct pollfd *to)
{
	bool goes_on = true;

	if (c->to < 0)
		return;
	if (c->begin < c->end && to->revents)
		goes_on = write_some(c);
	else if (to->revents & (POLLERR | POLLHUP | POLLNVAL))
		goes_on = false;
	else if (from->revents)
		read_some(c);
	if (!goes_on || (c->from < 0 && c->begin == c->end))
		close_channel(copying, c);
}

/*
 * What the program has written is in the pipes, which tell how much that is. What it left behind
 * may write for ever.
 */
static void limit_to_rest(struct copying *copying)
{
	close_channel(copying, &copying->channels[0]);
	for (size_t i = 1; i < 3; i++) {
		struct channel *c = &copying->channels[i];
		int rest = 0;

		if (c->from >= 0 && ioctl(c->from, FIONREAD, &rest) < 0)
			rest = 0;
		c->budget = (size_t)rest;
		if (rest == 0)
			end_source(c);
		if (c->from < 0 && c->begin == c->end)
			close_channel(copying, c);
	}
}

static void reap(struct copying *copying)
{
	if (copying->has_ended ||
	    waitpid(copying->child, &copying->status, WNOHANG) != copying->child)
		return;
	copying->has_ended = true;
	limit_to_rest(copying);
}

static void take_signal(struct copying *copying, int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGCHLD && copying->has_ended)
		copying->is_interrupted = true;
	else if (info.ssi_signo != SIGCHLD)
		(void)kill(copying->child, (int)info.ssi_signo);
	reap(copying);
}

/* One round of whatever can be done. */
static int step(struct copying *copying, int signal_fd)
{
	struct pollfd p[POLL_SIGNALS + 1];

	for (size_t i = 0; i < 3; i++)
		ask_for(&copying->channels[i], &p[2 * i], &p[2 * i + 1]);
	p[POLL_SIGNALS] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < 3; i++)
		copy(copying, &copying->channels[i], &p[2 * i], &p[2 * i + 1]);
	if (p[POLL_SIGNALS].revents)
		take_signal(copying, signal_fd);
	return 0;
}

static bool is_over(const struct copying *copying)
{
	return copying->has_ended && (copying->is_interrupted ||
				      (copying->channels[1].to < 0 && copying->channels[2].to < 0));
}

/* Files take everything, pipes this much when they take something. */
static size_t write_limit(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? BUFFER_SIZE : PIPE_BUF;
}

static void take_pipes(struct copying *copying, struct relay *relay)
{
	for (int i = 0; i < 3; i++) {
		struct channel *c = &copying->channels[i];
		int outer = take_fd(&relay->outer[i]);

		c->is_output = i != STDIN_FILENO;
		c->from = outer < 0 ? -1 : c->is_output ? outer : i;
		c->to = outer < 0 ? -1 : c->is_output ? i : outer;
		c->write_max = c->is_output ? write_limit(i) : BUFFER_SIZE;
		c->budget = SIZE_MAX;
	}
}

static int open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		(void)sigaddset(&set, passed_on[i]);
	return (int)SYS_RESULT(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int relay_run(struct relay *relay, pid_t child, int *ret_status)
{
	autofree struct copying *copying = calloc(1, sizeof(*copying));
	autoclose int signal_fd = open_signals();
	int r = copying ? MIN(signal_fd, 0) : -ENOMEM;

	if (r < 0) {
		close_outer(relay);
		return r;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	copying->child = child;
	take_pipes(copying, relay);
	/* It may have ended before we looked for the first time. */
	reap(copying);
	while (r >= 0 && !is_over(copying))
		r = step(copying, signal_fd);
	copying->has_ended = true;
	for (int i = 0; i < 3; i++) {
		close_channel(copying, &copying->channels[i]);
		relay->write_error[i] = copying->channels[i].error;
	}
	*ret_status = copying->status;
	return r;
}
