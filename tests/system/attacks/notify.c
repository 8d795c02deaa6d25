/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * T06: a process that isn't PID 1 says READY=1, at length, in datagrams that are too large, and
 * with descriptors. PID 1 waits for /go and then says it too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS 64

static int open_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	strncpy(address.sun_path, getenv("NOTIFY_SOCKET"), sizeof(address.sun_path) - 1);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

static void send_descriptors(int fd)
{
	static char text[] = "READY=1\nFDSTORE=1";
	char control[CMSG_SPACE(FDS * sizeof(int))] = {};
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(FDS * sizeof(int));
	for (int i = 0; i < FDS; i++)
		((int *)CMSG_DATA(header))[i] = fd;
	(void)sendmsg(fd, &message, 0);
}

static void flood(int fd)
{
	static char large[65536] = "READY=1\n";

	memset(large + 8, 'x', sizeof(large) - 8);
	for (int i = 0; i < 500; i++) {
		(void)send(fd, "READY=1", 7, 0);
		(void)send(fd, large, sizeof(large), 0);
		(void)send(fd, "", 0, 0);
		send_descriptors(fd);
	}
}

int main(void)
{
	int fd = open_socket();

	if (fd < 0)
		return 3;
	if (fork() == 0) {
		flood(fd);
		_exit(0);
	}
	(void)wait(NULL);
	puts("flooded");
	(void)fflush(stdout);
	while (access("/go", F_OK) < 0)
		(void)usleep(10000);
	return send(fd, "X=1\nREADY=1\nSTATUS=up", 21, 0) == 21 ? (int)sleep(60) : 4;
}
