/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READY=1 on /run/host/notify, which counts only from PID 1 of the machine. Datagrams are bounded;
 * must never accept a descriptor that a datagram carries (T06). Source: sd_notify(3). Supervisor's
 * side.
 */
#include "supervise/notify.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/str.h"

#define NOTIFY_MAX 4096
/* Datagrams per wake-up, so that a flood doesn't starve the rest of the loop. */
#define NOTIFY_BURST 16

/* Room for the credentials only: the kernel then drops any descriptors. */
union notify_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

/* The sender's pid in this process's PID namespace; 0: unknown. */
static pid_t sender_of(struct msghdr *message)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
		return 0;
	return ((const struct ucred *)CMSG_DATA(header))->pid;
}

static bool says_ready(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (streq(line, "READY=1") || str_after_prefix(line, "READY=1\n"))
			return true;
	}
	return false;
}

/* 1: a datagram was taken, 0: there is none. */
static int take_datagram(struct notify *notify)
{
	char text[NOTIFY_MAX + 1];
	union notify_control control;
	struct iovec iov = {.iov_base = text, .iov_len = NOTIFY_MAX};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(notify->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t pid;

	if (n < 0)
		return 0;
	pid = sender_of(&message);
	if (message.msg_flags & MSG_TRUNC)
		return 1;
	text[n] = '\0';
	if (pid > 0 && pid == notify->pid && says_ready(text))
		notify->on_ready(notify->userdata);
	return 1;
}

static int on_notify(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	for (int i = 0; i < NOTIFY_BURST && take_datagram(userdata) > 0; i++)
		;
	return 0;
}

int notify_watch(struct event_loop *loop, struct notify *notify)
{
	return notify->fd < 0 ? 0 : event_add_fd(loop, notify->fd, EPOLLIN, on_notify, notify);
}

void notify_unwatch(struct event_loop *loop, struct notify *notify)
{
	if (notify->fd >= 0)
		event_remove_fd(loop, notify->fd);
	*notify = (struct notify){.fd = -1};
}
