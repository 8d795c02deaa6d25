// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pipes in place of terminals. Must never hand a terminal of the host's to a machine. Caller's
 * side.
 */
#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"

#define POLL_SIGNALS 3

void relay_release(struct relay *relay)
{
	for (int i = 0; i < 3; i++) {
		if (relay->inner[i] > STDERR_FILENO)
			(void)close(relay->inner[i]);
		relay->inner[i] = -1;
	}
}

static void close_outer(struct relay *relay, int i)
{
	if (relay->outer[i] >= 0)
		(void)close(relay->outer[i]);
	relay->outer[i] = -1;
}

int relay_open(struct relay *ret)
{
	*ret = (struct relay){.inner = {0, 1, 2}, .outer = {-1, -1, -1}};
	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (!isatty(i))
			continue;
		if (pipe2(ends, O_CLOEXEC) < 0) {
			int r = -errno;

			relay_release(ret);
			for (int k = 0; k < i; k++)
				close_outer(ret, k);
			return r;
		}
		ret->inner[i] = ends[i == 0 ? 0 : 1];
		ret->outer[i] = ends[i == 0 ? 1 : 0];
	}
	return 0;
}

/* true: the source has ended, or the other side takes no more. */
static bool copy_some(int from, int to)
{
	char data[4096];
	ssize_t n = read(from, data, sizeof(data));

	if (n < 0)
		return errno != EINTR && errno != EAGAIN;
	return n == 0 || io_write_all(to, data, (size_t)n) < 0;
}

/* true: the child has ended. */
static bool take_signal(int signal_fd, pid_t child, int *status)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGCHLD)
		(void)kill(child, (int)info.ssi_signo);
	return waitpid(child, status, WNOHANG) == child;
}

static void copy_ready(struct relay *relay, const struct pollfd *p)
{
	if (p[0].revents & (POLLERR | POLLHUP) && !(p[0].revents & POLLIN))
		close_outer(relay, 0);
	else if (p[0].revents && copy_some(STDIN_FILENO, relay->outer[0]))
		close_outer(relay, 0);
	for (int i = 1; i < 3; i++) {
		if (p[i].revents && copy_some(relay->outer[i], i))
			close_outer(relay, i);
	}
}

/* What the program wrote before it ended; what its children still write is theirs. */
static void drain(struct relay *relay)
{
	for (int i = 1; i < 3; i++) {
		struct pollfd p = {.fd = relay->outer[i], .events = POLLIN};

		while (relay->outer[i] >= 0 && poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
			if (copy_some(relay->outer[i], i))
				break;
		}
	}
}

int relay_run(struct relay *relay, pid_t child, int *ret_status)
{
	static const int passed[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	autoclose int signal_fd = -1;
	sigset_t set;
	bool ended;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		(void)sigaddset(&set, passed[i]);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return -errno;
	/* It may have ended before we looked for the first time. */
	ended = waitpid(child, ret_status, WNOHANG) == child;
	while (!ended) {
		struct pollfd p[] = {
			{.fd = relay->outer[0] >= 0 ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = relay->outer[1], .events = POLLIN},
			{.fd = relay->outer[2], .events = POLLIN},
			{.fd = signal_fd, .events = POLLIN},
		};

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return -errno;
		copy_ready(relay, p);
		if (p[POLL_SIGNALS].revents)
			ended = take_signal(signal_fd, child, ret_status);
	}
	drain(relay);
	for (int i = 0; i < 3; i++)
		close_outer(relay, i);
	return 0;
}
