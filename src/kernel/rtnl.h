/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building and sending rtnetlink messages: one buffer, attributes appended, one answer awaited; and
 * reading what is told. No policy. Sources: rtnetlink(7), netlink(7), include/uapi/linux/if_link.h.
 */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_MESSAGE_MAX 2048

/* On the stack; a message that would not fit makes rtnl_call() return -EMSGSIZE. */
struct rtnl_message {
	union {
		struct nlmsghdr header;
		char bytes[RTNL_MESSAGE_MAX];
	};
	int overflow;
};

/*
 * A socket in the caller's network namespace, or -errno. Only the kernel is heard on it: in the
 * namespace of a guest, the guest's root could send to it otherwise.
 */
int rtnl_open(void);
/* The same for another kind of netlink (NETLINK_GENERIC …), and for those groups of changes. */
int rtnl_open_protocol(int protocol, uint32_t groups);

/* type: RTM_NEWLINK …; flags besides NLM_F_REQUEST and NLM_F_ACK; payload: struct ifinfomsg … */
void rtnl_begin(struct rtnl_message *message, uint16_t type, uint16_t flags, const void *payload,
		uint32_t size);
void rtnl_put(struct rtnl_message *message, uint16_t type, const void *data, uint32_t size);
void rtnl_put_str(struct rtnl_message *message, uint16_t type, const char *s);
void rtnl_put_u32(struct rtnl_message *message, uint16_t type, uint32_t value);
/* Raw bytes without an attribute header (the ifinfomsg inside VETH_INFO_PEER). */
void rtnl_put_raw(struct rtnl_message *message, const void *data, uint32_t size);
/* Opens an attribute that holds others; give its result to rtnl_end_nest(). */
uint32_t rtnl_begin_nest(struct rtnl_message *message, uint16_t type);
void rtnl_end_nest(struct rtnl_message *message, uint32_t nest);

/* Sends it and waits for the acknowledgement. 0 or the kernel's -errno. */
int rtnl_call(int socket, struct rtnl_message *message);

/* Of an answer: `header` is valid until the function returns. -errno ends the question. */
typedef int (*rtnl_each_fn)(const struct nlmsghdr *header, void *userdata);
/*
 * Sends a question about one object (RTM_GET…) and calls `each` for every message of the answer. 0,
 * the kernel's -errno, or what `each` returned.
 */
int rtnl_ask(int socket, struct rtnl_message *message, rtnl_each_fn each, void *userdata);
/* Drops all that `each` was told. */
typedef void (*rtnl_forget_fn)(void *userdata);
/*
 * The same for all objects there are (NLM_F_DUMP). When they changed meanwhile (NLM_F_DUMP_INTR),
 * some may be missing or told twice: then `forget` is called and the question repeated, at most
 * RTNL_DUMP_TRIES times in all; -EINTR after the last.
 */
#define RTNL_DUMP_TRIES 8
int rtnl_dump(int socket, struct rtnl_message *message, rtnl_each_fn each, rtnl_forget_fn forget,
	      void *userdata);
/* The attribute behind a fixed part of `size` bytes, or NULL. */
const struct rtattr *rtnl_find(const struct nlmsghdr *header, size_t size, uint16_t type);
const struct rtattr *rtnl_find_nested(const struct rtattr *nest, uint16_t type);
/* Its value; 0 where it is missing or too short. */
uint32_t rtnl_get_u32(const struct rtattr *attribute);
/* Copies up to size - 1 bytes and ends them with NUL; "" where it is missing. */
void rtnl_get_str(const struct rtattr *attribute, char *ret, size_t size);
