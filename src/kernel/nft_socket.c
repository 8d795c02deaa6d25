/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The packet filter's socket: transactions, listings, and reading attributes. Quiet. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/nft.h"

#define RECEIVE_SIZE (64 * 1024) /* the kernel fills at most 32 KiB of a listing at once */
#define NAME_MAX_SIZE 256
#define USERDATA_COMMENT 0 /* of rules and of tables */

int nft_open(void)
{
	static const int on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	/* Only the headers of refused messages come back, not megabytes of map elements. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fd;
}

static ssize_t receive(int fd, void *data, size_t size, int flags)
{
	ssize_t n;

	do
		n = recv(fd, data, size, flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int send_all(int fd, const void *data, size_t size)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int wanted = (int)size, now = 0;
	socklen_t length = sizeof(now);

	/* The kernel counts its own overhead, too; it reports and compares twice what is set. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &length) == 0 && now < wanted + 1024 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof(wanted)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
	if (sendto(fd, data, size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/* 1: the acknowledgement, 0: nothing of interest, or -errno of a refused message. */
static int read_answer(const struct nlmsghdr *header, uint32_t last, int *ret_refused)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);

	if (header->nlmsg_type != NLMSG_ERROR || header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
		return 0;
	if (error->error == 0)
		return error->msg.nlmsg_seq == last;
	*ret_refused = error->msg.nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES
			       ? error->msg.nlmsg_type & 0xff
			       : -1;
	return error->error;
}

/*
 * The kernel has done all and queued all answers when send() returns, so nothing is waited for.
 * Errors come in the order of the messages: the first is the cause.
 */
int nft_transact(int fd, const void *data, size_t size, uint32_t last, int *ret_refused)
{
	char answer[8192];
	int r = send_all(fd, data, size), result = -EBADMSG;

	while (r >= 0) {
		ssize_t n = receive(fd, answer, sizeof(answer), MSG_DONTWAIT);
		const struct nlmsghdr *header = (const struct nlmsghdr *)answer;

		if (n == -EAGAIN)
			return result;
		if (n < 0)
			return (int)n;
		for (; NLMSG_OK(header, (size_t)n); header = NLMSG_NEXT(header, n)) {
			if (result != -EBADMSG)
				continue;
			r = read_answer(header, last, ret_refused);
			result = r > 0 ? 0 : r < 0 ? r : result;
			r = 0;
		}
	}
	return r;
}

static size_t put_name(char *message, size_t at, uint16_t type, const char *name)
{
	size_t size = name ? strnlen(name, NAME_MAX_SIZE - 1) : 0;
	struct nlattr attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + size + 1), .nla_type = type};

	if (!name)
		return at;
	memcpy(message + at, &attribute, sizeof(attribute));
	memcpy(message + at + NLA_HDRLEN, name, size);
	return at + NLA_ALIGN(attribute.nla_len);
}

/* Table and name of what is asked for are attributes 1 and 2 of every kind of object. */
static int send_query(int fd, int type, uint16_t flags, const struct nft_query *query)
{
	union {
		struct nlmsghdr header;
		char bytes[NLMSG_SPACE(sizeof(struct nfgenmsg)) + 2 * (NAME_MAX_SIZE + NLA_HDRLEN)];
	} message = {};
	struct nfgenmsg body = {.nfgen_family = query->family};
	size_t at = NLMSG_SPACE(sizeof(body));

	memcpy(NLMSG_DATA(&message.header), &body, sizeof(body));
	at = put_name(message.bytes, at, NFTA_RULE_TABLE, query->table);
	at = put_name(message.bytes, at, NFTA_RULE_CHAIN, query->set ? query->set : query->chain);
	message.header.nlmsg_len = (uint32_t)at;
	message.header.nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	message.header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return send_all(fd, message.bytes, at);
}

/* 0 when there is such an object, or the kernel's -errno. */
static int ask(int fd, int type, const struct nft_query *query)
{
	char answer[1024];
	const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
	int r = send_query(fd, type, 0, query);
	ssize_t n;

	if (r < 0)
		return r;
	n = receive(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return (int)n;
	if ((size_t)n < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EBADMSG;
	if (header->nlmsg_type != NLMSG_ERROR)
		return 0;
	return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

int nft_probe(int fd)
{
	struct nft_query query = {};
	int r = ask(fd, NFT_MSG_GETGEN, &query);

	/* What nfnetlink says of a subsystem that nobody has registered. */
	return r == -EINVAL ? -EOPNOTSUPP : r;
}

int nft_has_table(int fd, uint8_t family, const char *name)
{
	struct nft_query query = {.family = family, .table = name};
	int r = ask(fd, NFT_MSG_GETTABLE, &query);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

struct listing {
	nft_visit *visit;
	void *context;
	int result; /* of `visit`: the rest is read and dropped */
	bool is_interrupted;
};

static int error_of(const struct nlmsghdr *header)
{
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return header->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

static int visit_object(const struct listing *listing, const struct nlmsghdr *header)
{
	const struct nfgenmsg *body = NLMSG_DATA(header);
	size_t head = NLMSG_SPACE(sizeof(*body));

	if (header->nlmsg_len < head)
		return 0;
	return listing->visit(listing->context, body->nfgen_family,
			      (const struct nlattr *)((const char *)header + head),
			      header->nlmsg_len - head);
}

/* 1 goes on, 0 the listing is complete, -errno. */
static int take_objects(struct listing *listing, const char *data, size_t size)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)data;

	for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		listing->is_interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		/* A listing that failed half-way ends with the reason, too. */
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
			return error_of(header);
		if (listing->result == 0)
			listing->result = visit_object(listing, header);
	}
	return 1;
}

/* Read to its end also when `visit` has had enough: the socket is used again. */
int nft_list(int fd, int type, const struct nft_query *query, nft_visit *visit, void *context)
{
	struct listing listing = {.visit = visit, .context = context};
	char data[RECEIVE_SIZE];
	int r = send_query(fd, type, NLM_F_DUMP, query);

	if (r < 0)
		return r;
	do {
		ssize_t n = receive(fd, data, sizeof(data), 0);

		r = n < 0 ? (int)n : take_objects(&listing, data, (size_t)n);
	} while (r > 0);
	if (r < 0)
		return r;
	return listing.is_interrupted ? -EINTR : listing.result;
}

static const struct nlattr *next_of(const struct nlattr *at, size_t *size)
{
	size_t step = NLA_ALIGN(at->nla_len);

	if (step >= *size)
		return NULL;
	*size -= step;
	return (const struct nlattr *)((const char *)at + step);
}

static bool is_whole(const struct nlattr *at, size_t size)
{
	return size >= NLA_HDRLEN && at->nla_len >= NLA_HDRLEN && at->nla_len <= size;
}

void nft_parse(const struct nlattr *at, size_t size, const struct nlattr *ret[], size_t count)
{
	memset(ret, 0, count * sizeof(*ret));
	for (; at && is_whole(at, size); at = next_of(at, &size))
		if ((at->nla_type & NLA_TYPE_MASK) < count)
			ret[at->nla_type & NLA_TYPE_MASK] = at;
}

void nft_parse_nested(const struct nlattr *attribute, const struct nlattr *ret[], size_t count)
{
	size_t size = 0;
	const void *data = nft_data(attribute, &size);

	nft_parse(data, size, ret, count);
}

const struct nlattr *nft_next(const struct nlattr *nest, const struct nlattr *last)
{
	size_t size = 0;
	const char *data = nft_data(nest, &size);
	const struct nlattr *at = (const struct nlattr *)data;

	if (last) {
		size -= (size_t)((const char *)last - data);
		at = next_of(last, &size);
	}
	return at && is_whole(at, size) ? at : NULL;
}

const void *nft_data(const struct nlattr *attribute, size_t *ret_size)
{
	*ret_size = attribute ? attribute->nla_len - (size_t)NLA_HDRLEN : 0;
	return attribute ? (const char *)attribute + NLA_HDRLEN : NULL;
}

const char *nft_text(const struct nlattr *attribute)
{
	size_t size;
	const char *text = nft_data(attribute, &size);

	return size > 0 && text[size - 1] == '\0' ? text : "";
}

uint32_t nft_u32(const struct nlattr *attribute)
{
	size_t size;
	const void *data = nft_data(attribute, &size);
	uint32_t value = 0;

	if (size >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	return ntohl(value);
}

uint64_t nft_u64(const struct nlattr *attribute)
{
	size_t size;
	const void *data = nft_data(attribute, &size);
	uint64_t value = 0;

	if (size >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	return be64toh(value);
}

void nft_comment(const struct nlattr *userdata, char *ret, size_t size)
{
	size_t left;
	const uint8_t *at = nft_data(userdata, &left);

	ret[0] = '\0';
	for (; left >= 2 && left >= 2U + at[1]; left -= 2U + at[1], at += 2U + at[1])
		if (at[0] == USERDATA_COMMENT)
			(void)snprintf(ret, size, "%.*s", at[1], (const char *)at + 2);
}
