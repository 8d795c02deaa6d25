/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's word that it is ready: READY=1 on /run/host/notify, from its PID 1 and nobody else.
 * Datagrams are bounded, descriptors that come along are never taken (T06). Source: sd_notify(3).
 * Supervisor's side.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/str.h"
#include "log/log.h"
#include "supervise/internal.h"

#define NOTIFY_MAX 4096
/* Datagrams per wake-up, so that a flood can't keep the loop from its other work. */
#define NOTIFY_BURST 16

/* Room for who sent it and nothing else: the kernel drops descriptors that come along. */
union notify_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

/* The sender's pid as this process numbers it; 0 when it is not told. */
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
static int take_datagram(struct supervisor *s, int fd)
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
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t pid;

	if (n < 0)
		return 0;
	pid = sender_of(&message);
	if (message.msg_flags & MSG_TRUNC)
		return 1;
	text[n] = '\0';
	if (pid == s->leader && says_ready(text))
		supervisor_set_ready(s);
	return 1;
}

static int on_notify(struct event_loop *loop, int fd, uint32_t events, void *userdata)
{
	for (int i = 0; i < NOTIFY_BURST && take_datagram(userdata, fd) > 0; i++)
		;
	return 0;
}

int notify_watch(struct supervisor *s)
{
	int r = 0;

	if (s->host.notify_fd >= 0)
		r = event_add_fd(s->loop, s->host.notify_fd, EPOLLIN, on_notify, s);
	return r < 0 ? log_errno(r, "watch the notification socket") : 0;
}

void notify_unwatch(struct supervisor *s)
{
	if (s->host.notify_fd >= 0)
		event_remove_fd(s->loop, s->host.notify_fd);
}
