/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DNS messages (RFC 1035, 2308, 6891) as far as a forwarder that knows a few names needs them:
 * queries taken apart, small answers built, answers of others matched with what was asked and cut
 * to size. Pure and quiet: no allocation, no system call. Everything that comes in is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"

#define DNS_PORT 53
#define DNS_HEADER 12
#define DNS_NAME_WIRE_MAX 255
#define DNS_NAME_TEXT_MAX 256 /* with the NUL */
#define DNS_UDP_MIN 512	      /* what any client takes */
#define DNS_MESSAGE_MAX 65535

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_TYPE_IXFR = 251,
	DNS_TYPE_AXFR = 252,
	DNS_TYPE_ANY = 255,
};

enum dns_class {
	DNS_CLASS_IN = 1,
};

enum dns_rcode {
	DNS_RCODE_OK = 0,
	DNS_RCODE_FORMAT = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_RCODE_BADVERS = 16, /* RFC 6891 */
};

struct dns_query {
	uint16_t id;
	uint16_t flags; /* as sent */
	uint16_t type, class;
	size_t question_end;	      /* 0: the question could not be read */
	char name[DNS_NAME_TEXT_MAX]; /* lower case, no dot at the end; "" is the root */
	bool is_plain;		      /* only letters, digits, '-' and '_': `name` is all of it */
	bool has_edns;		      /* the next three are set */
	uint8_t edns_version;
	uint16_t edns_size;  /* what the client takes by UDP, at least DNS_UDP_MIN */
	size_t edns_size_at; /* where it stands in the message */
};

/*
 * 0; -EBADMSG: nothing to answer (too short for a header, or an answer itself); -EPROTO: answer
 * DNS_RCODE_FORMAT, -EOPNOTSUPP: answer DNS_RCODE_NOTIMP, for both of which ret is good enough.
 */
int dns_parse_query(const uint8_t *data, size_t size, struct dns_query *ret);
/* What the client takes by UDP. */
size_t dns_udp_size(const struct dns_query *query);
/* The address that a name below in-addr.arpa or ip6.arpa stands for: 0, or -EINVAL. */
int dns_parse_reverse(const char *name, struct net_address *ret);

/* An answer under way. What does not fit within `max` sets TC and leaves the answers out. */
struct dns_answer {
	const struct dns_query *query;
	uint8_t *data;
	size_t size, max;
	bool is_truncated;
};

/* Header and question of `message`, the query itself; ret has room for `max`, at least DNS_UDP_MIN.
 */
void dns_answer_begin(struct dns_answer *answer, const struct dns_query *query,
		      const uint8_t *message, uint8_t *ret, size_t max);
void dns_answer_add_address(struct dns_answer *answer, const struct net_address *address,
			    uint32_t ttl_s);
/* `name` is one of plain labels. */
void dns_answer_add_pointer(struct dns_answer *answer, const char *name, uint32_t ttl_s);
/* Its size. */
size_t dns_answer_end(struct dns_answer *answer, enum dns_rcode rcode);

/*
 * Whether `data` answers the query that was sent as `sent`: id, direction, question. Returns the
 * response code, or -EBADMSG. An error without a question (some servers') is taken, too.
 */
int dns_check_answer(const struct dns_query *query, const uint8_t *sent, const uint8_t *data,
		     size_t size);
/*
 * An answer of another server, in place, as it goes to the client: under the client's id, and cut
 * to nothing but the question with TC where it is longer than `max`, or where only `max` bytes of
 * it are there. Its size.
 */
size_t dns_relay_answer(const struct dns_query *query, uint8_t *data, size_t size, size_t max);
