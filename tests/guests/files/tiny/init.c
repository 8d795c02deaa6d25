// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The least init: says it is ready, waits, and ends on the signals that ask an init to stop.
 * SIGTERM and SIGINT end with 0; SIGRTMIN+3/+4 power off; SIGRTMIN+5 reboots. Runs as PID 1 of a
 * test guest.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say_ready(void)
{
	static const char message[] = "READY=1\nSTATUS=tiny is up";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	if (len == 0 || len >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, message, sizeof(message) - 1, MSG_NOSIGNAL, (struct sockaddr *)&addr,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

int main(void)
{
	sigset_t set;
	int sig = 0;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say_ready();
	for (;;) {
		if (sigwait(&set, &sig))
			continue;
		if (sig == SIGCHLD)
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
		else if (sig == SIGTERM || sig == SIGINT)
			return 0;
		else if (sig == SIGRTMIN + 3 || sig == SIGRTMIN + 4)
			return reboot(RB_POWER_OFF) ? 0 : 0;
		else if (sig == SIGRTMIN + 5)
			return reboot(RB_AUTOBOOT) ? 1 : 0;
	}
}
