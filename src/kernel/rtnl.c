/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rtnetlink messages. Quiet, no policy. Supervisor's side. */
#include "kernel/rtnl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RTNL_ANSWER_MAX 32768

int rtnl_open_protocol(int protocol, uint32_t groups)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = groups};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int r = 0;

	if (fd < 0)
		return -errno;
	/* To a connected socket nobody else may send. */
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		r = -errno;
	if (r < 0)
		(void)close(fd);
	return r < 0 ? r : fd;
}

int rtnl_open(void)
{
	return rtnl_open_protocol(NETLINK_ROUTE, 0);
}

void rtnl_begin(struct rtnl_message *message, uint16_t type, uint16_t flags, const void *payload,
		uint32_t size)
{
	memset(message, 0, sizeof(*message));
	message->header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_HDRLEN,
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
		.nlmsg_seq = 1,
	};
	rtnl_put_raw(message, payload, size);
}

void rtnl_put_raw(struct rtnl_message *message, const void *data, uint32_t size)
{
	uint32_t at = NLMSG_ALIGN(message->header.nlmsg_len);

	if (at + NLMSG_ALIGN(size) > RTNL_MESSAGE_MAX) {
		message->overflow = 1;
		return;
	}
	if (size > 0)
		memcpy(message->bytes + at, data, size);
	message->header.nlmsg_len = at + NLMSG_ALIGN(size);
}

void rtnl_put(struct rtnl_message *message, uint16_t type, const void *data, uint32_t size)
{
	struct rtattr attribute = {.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type};

	rtnl_put_raw(message, &attribute, sizeof(attribute));
	rtnl_put_raw(message, data, size);
}

void rtnl_put_str(struct rtnl_message *message, uint16_t type, const char *s)
{
	rtnl_put(message, type, s, (uint32_t)strlen(s) + 1);
}

void rtnl_put_u32(struct rtnl_message *message, uint16_t type, uint32_t value)
{
	rtnl_put(message, type, &value, sizeof(value));
}

uint32_t rtnl_begin_nest(struct rtnl_message *message, uint16_t type)
{
	uint32_t at = NLMSG_ALIGN(message->header.nlmsg_len);

	rtnl_put(message, type, NULL, 0);
	return at;
}

void rtnl_end_nest(struct rtnl_message *message, uint32_t nest)
{
	struct rtattr *attribute = (struct rtattr *)(message->bytes + nest);

	if (!message->overflow)
		attribute->rta_len = (uint16_t)(message->header.nlmsg_len - nest);
}

static int send_message(int socket, struct rtnl_message *message)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	if (message->overflow)
		return -EMSGSIZE;
	if (sendto(socket, message->bytes, message->header.nlmsg_len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

static ssize_t receive(int socket, void *data, size_t size)
{
	ssize_t n;

	do
		n = recv(socket, data, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int error_of(const struct nlmsghdr *header)
{
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return -EBADMSG;
	return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

int rtnl_call(int socket, struct rtnl_message *message)
{
	char answer[RTNL_MESSAGE_MAX + NLMSG_HDRLEN + sizeof(struct nlmsgerr)];
	const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
	int r = send_message(socket, message);
	ssize_t n;

	if (r < 0)
		return r;
	n = receive(socket, answer, sizeof(answer));
	if (n < 0)
		return (int)n;
	if ((size_t)n < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || header->nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return error_of(header);
}

struct asking {
	rtnl_each_fn each;
	void *userdata;
	int error; /* of `each`; the rest of the answer is read and dropped */
	bool is_interrupted;
};

/* As NLMSG_NEXT(), for a size that can't go below zero: the last one need not be padded. */
static const struct nlmsghdr *next_message(const struct nlmsghdr *header, size_t *left)
{
	size_t step = NLMSG_ALIGN(header->nlmsg_len);

	*left = step < *left ? *left - step : 0;
	return (const struct nlmsghdr *)((const char *)header + step);
}

/* A dump that failed half-way ends with the reason; what came before it is not all. */
static int end_of_dump(const struct nlmsghdr *header)
{
	return header->nlmsg_len < NLMSG_LENGTH(sizeof(int)) ? 0 : error_of(header);
}

/* 1 goes on, 0 the answer is complete, -errno. */
static int take_messages(struct asking *asking, const char *data, size_t size)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)data;

	for (; NLMSG_OK(header, size); header = next_message(header, &size)) {
		asking->is_interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (header->nlmsg_type == NLMSG_DONE)
			return end_of_dump(header);
		if (header->nlmsg_type == NLMSG_ERROR)
			return error_of(header);
		if (asking->error >= 0)
			asking->error = asking->each(header, asking->userdata);
	}
	return 1;
}

static int ask(int socket, struct rtnl_message *message, struct asking *asking)
{
	/* The kernel fills up to 32 KiB when it is given them, which makes few calls of many. */
	_Alignas(struct nlmsghdr) char answer[RTNL_ANSWER_MAX];
	int r = send_message(socket, message);

	if (r < 0)
		return r;
	do {
		ssize_t n = receive(socket, answer, sizeof(answer));

		r = n < 0 ? (int)n : take_messages(asking, answer, (size_t)n);
	} while (r > 0);
	return r < 0 ? r : asking->error < 0 ? asking->error : 0;
}

int rtnl_ask(int socket, struct rtnl_message *message, rtnl_each_fn each, void *userdata)
{
	struct asking asking = {.each = each, .userdata = userdata};

	return ask(socket, message, &asking);
}

int rtnl_dump(int socket, struct rtnl_message *message, rtnl_each_fn each, rtnl_forget_fn forget,
	      void *userdata)
{
	for (int i = 0; i < RTNL_DUMP_TRIES; i++) {
		struct asking asking = {.each = each, .userdata = userdata};
		int r = ask(socket, message, &asking);

		if (r < 0 || !asking.is_interrupted)
			return r;
		forget(userdata);
	}
	return -EINTR;
}

static const struct rtattr *find(const struct rtattr *attribute, size_t size, uint16_t type)
{
	for (; RTA_OK(attribute, size); attribute = RTA_NEXT(attribute, size))
		if ((attribute->rta_type & NLA_TYPE_MASK) == type)
			return attribute;
	return NULL;
}

const struct rtattr *rtnl_find(const struct nlmsghdr *header, size_t size, uint16_t type)
{
	size_t start = NLMSG_LENGTH(NLMSG_ALIGN(size));

	if (header->nlmsg_len < start)
		return NULL;
	return find((const struct rtattr *)((const char *)header + start),
		    header->nlmsg_len - start, type);
}

const struct rtattr *rtnl_find_nested(const struct rtattr *nest, uint16_t type)
{
	return nest ? find(RTA_DATA(nest), RTA_PAYLOAD(nest), type) : NULL;
}

uint32_t rtnl_get_u32(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

void rtnl_get_str(const struct rtattr *attribute, char *ret, size_t size)
{
	size_t length = attribute ? RTA_PAYLOAD(attribute) : 0;

	if (length >= size)
		length = size - 1;
	if (length > 0)
		memcpy(ret, RTA_DATA(attribute), length);
	ret[length] = '\0';
}
