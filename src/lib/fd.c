/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors: flags, and sending them over unix sockets. Must never leak one, not even those that
 * a hostile sender adds. Parent side of clone() only.
 */
#include "lib/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* SCM_MAX_FD of the kernel: more are refused by sendmsg(2). */
#define FD_SEND_MAX 253

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(FD_SEND_MAX * sizeof(int))];
};

static int send_rest(int socket, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(socket, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

int fd_send(int socket, const void *data, size_t size, const int *fds, size_t count)
{
	union control control = {};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	/* A stream socket carries no descriptors without at least one byte. */
	if (size == 0 || count > FD_SEND_MAX)
		return -EINVAL;
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return send_rest(socket, (const char *)data + n, size - (size_t)n);
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

/* Gathers the descriptors of all control messages: a sender may use several. */
static size_t collect_fds(struct msghdr *message, int *fds)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds + count, CMSG_DATA(c), size);
		count += size / sizeof(int);
	}
	return count;
}

ssize_t fd_receive(int socket, void *data, size_t size, int *fds, size_t max, size_t *ret_count)
{
	union control control = {};
	int received[sizeof(control) / sizeof(int)];
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	size_t count;
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	count = collect_fds(&message, received);
	if (count > max || (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		close_all(received, count);
		return -EMSGSIZE;
	}
	if (count > 0)
		memcpy(fds, received, count * sizeof(int));
	*ret_count = count;
	return n;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL), wanted;

	if (flags < 0)
		return -errno;
	wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
		return -errno;
	return 0;
}

static bool is_master(int fd)
{
	unsigned number;

	return ioctl(fd, TIOCGPTN, &number) == 0;
}

int fd_reopen_nonblock(int fd, int mode)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode) && (!isatty(fd) || is_master(fd)))
		return -EOPNOTSUPP;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, mode | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

bool fd_is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

int fd_reserve_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* What is written to a closed standard output fails; messages may get lost. */
		int mode = fd == STDOUT_FILENO ? O_RDONLY : O_RDWR;

		/* In rising order, so that the lowest free number is the one that is missing. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode) < 0)
			return -errno;
	}
	return 0;
}

int fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -errno;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n - 1; /* less the directory itself */
}
