// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs programs and reads their output. Must never leak a descriptor to them. */
#include "nix/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/str.h"

static int add_fds(posix_spawn_file_actions_t *actions, struct nix_run_fds fds)
{
	int r;

	if (fds.in >= 0)
		r = posix_spawn_file_actions_adddup2(actions, fds.in, STDIN_FILENO);
	else
		r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY,
						     0);
	if (r == 0 && fds.out >= 0)
		r = posix_spawn_file_actions_adddup2(actions, fds.out, STDOUT_FILENO);
	return -r;
}

/* The program must not inherit ignored or blocked signals. */
static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, defaults;
	int r;

	(void)sigemptyset(&none);
	(void)sigemptyset(&defaults);
	(void)sigaddset(&defaults, SIGPIPE);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &defaults);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes,
					     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

int nix_run_start(char *const argv[], struct nix_run_fds fds, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = -posix_spawn_file_actions_init(&actions);

	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attributes);
	if (r < 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return r;
	}
	r = add_fds(&actions, fds);
	if (r == 0)
		r = set_signals(&attributes);
	if (r == 0)
		r = -posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return r;
}

int nix_run_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int read_pipe(int fd, size_t max, struct buf *out)
{
	char data[16384];
	ssize_t n;

	for (;;) {
		n = read(fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : out->error;
		if (out->size + (size_t)n > max)
			return -EFBIG;
		buf_add(out, data, (size_t)n);
	}
}

int nix_run_read(char *const argv[], int in_fd, size_t max, char **ret)
{
	autobuf struct buf out = {};
	autoclose int read_fd = -1;
	int fds[2], r, code;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	r = nix_run_start(argv, (struct nix_run_fds){.in = in_fd, .out = fds[1]}, &pid);
	(void)close(fds[1]);
	if (r < 0)
		return r;
	r = read_pipe(read_fd, max, &out);
	if (r < 0)
		(void)kill(pid, SIGTERM);
	code = nix_run_wait(pid);
	if (r >= 0 && code >= 0)
		r = buf_take(&out, ret);
	return r < 0 ? r : code;
}
