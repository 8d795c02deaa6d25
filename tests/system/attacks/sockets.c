/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tries sockets that no network namespace contains, and prints the results. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t length;

static int say(int r, const char *done)
{
	puts(r >= 0		     ? done
	     : errno == EPERM	     ? "EPERM"
	     : errno == EAFNOSUPPORT ? "EAFNOSUPPORT"
	     : errno == ECONNREFUSED ? "ECONNREFUSED"
				     : strerror(errno));
	fflush(stdout);
	return 0;
}

static void set_name(const char *name)
{
	address.sun_family = AF_UNIX;
	strcpy(address.sun_path + 1, name);
	length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

static int listen_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4) ? -1 : fd;
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "vsock") == 0)
		return say(socket(AF_VSOCK, SOCK_STREAM, 0), "made");
	set_name(argc > 2 ? argv[2] : "own");
	if (strcmp(what, "send") == 0) {
		int r = sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0,
			       (struct sockaddr *)&address, length);

		return say(r, "sent");
	}
	if (strcmp(what, "own") == 0 || strcmp(what, "listen") == 0)
		if (listen_there() < 0)
			return 1;
	if (strcmp(what, "listen") == 0) {
		say(0, "listening");
		return pause();
	}
	return say(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, length),
		   "connected");
}
