/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DNS messages. Everything that comes in is hostile. Pure. Supervisor's side. */
#include "net/dns.h"

#include <errno.h>
#include <string.h>

#include "net/wire.h"

enum flag {
	FLAG_ANSWER = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_CHECKING_DISABLED = 0x0010,
	FLAG_RCODE = 0x000f,
};

enum header {
	HEADER_ID = 0,
	HEADER_FLAGS = 2,
	HEADER_QUESTIONS = 4,
	HEADER_ANSWERS = 6,
	HEADER_AUTHORITIES = 8,
	HEADER_ADDITIONALS = 10,
};

#define LABEL_MAX 63
#define LABEL_POINTER 0xc0
#define TYPE_OPT 41
#define OPT_SIZE 11
#define OUR_EDNS_SIZE 1232 /* fits any path of IPv6 without fragments */
#define RECORDS_MAX 8	   /* of a query: OPT, a signature, a zone's start */

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static char lower(uint8_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* An unusual label is replaced by '?', so that it equals no name that we know. */
static bool copy_label(const uint8_t *label, size_t size, char *ret)
{
	bool plain = true;

	for (size_t i = 0; i < size; i++) {
		plain &= is_plain(label[i]);
		ret[i] = is_plain(label[i]) ? lower(label[i]) : '?';
	}
	return plain;
}

/* A name in a question has no pointer: there is nothing before it to point to. */
static int parse_question_name(const uint8_t *data, size_t size, size_t *at, struct dns_query *ret)
{
	size_t start = *at, used = 0;

	ret->is_plain = true;
	for (;;) {
		size_t label;

		if (*at >= size)
			return -EPROTO;
		label = data[(*at)++];
		if (label == 0)
			break;
		if (label > LABEL_MAX || label > size - *at ||
		    *at + label - start >= DNS_NAME_WIRE_MAX)
			return -EPROTO;
		if (used > 0)
			ret->name[used++] = '.';
		ret->is_plain &= copy_label(data + *at, label, ret->name + used);
		used += label;
		*at += label;
	}
	ret->name[used] = '\0';
	return 0;
}

/* Skips a name that may end in a pointer; never follows one. */
static int skip_name(const uint8_t *data, size_t size, size_t *at)
{
	size_t start = *at;

	while (*at < size) {
		size_t label = data[(*at)++];

		if (label == 0)
			return 0;
		if ((label & LABEL_POINTER) == LABEL_POINTER)
			return (*at)++ < size ? 0 : -EPROTO;
		if (label > LABEL_MAX || label > size - *at || *at - start > DNS_NAME_WIRE_MAX)
			return -EPROTO;
		*at += label;
	}
	return -EPROTO;
}

static int parse_edns(const uint8_t *data, size_t name_at, size_t at, struct dns_query *ret)
{
	/* RFC 6891, 6.1: at most one OPT, with the root as its name. */
	if (ret->has_edns || at != name_at + 1)
		return -EPROTO;
	ret->has_edns = true;
	ret->edns_size_at = at + 2;
	ret->edns_size = wire_get16(data + at + 2);
	if (ret->edns_size < DNS_UDP_MIN)
		ret->edns_size = DNS_UDP_MIN;
	ret->edns_version = data[at + 5];
	return 0;
}

static int parse_record(const uint8_t *data, size_t size, size_t *at, struct dns_query *ret)
{
	size_t name_at = *at;
	int r = skip_name(data, size, at);

	if (r < 0)
		return r;
	if (size - *at < 10 || wire_get16(data + *at + 8) > size - *at - 10)
		return -EPROTO;
	if (wire_get16(data + *at) == TYPE_OPT)
		r = parse_edns(data, name_at, *at, ret);
	*at += 10 + (size_t)wire_get16(data + *at + 8);
	return r;
}

static int parse_records(const uint8_t *data, size_t size, size_t at, struct dns_query *ret)
{
	size_t count = (size_t)wire_get16(data + HEADER_ANSWERS) +
		       wire_get16(data + HEADER_AUTHORITIES) +
		       wire_get16(data + HEADER_ADDITIONALS);

	if (count > RECORDS_MAX)
		return -EPROTO;
	for (; count > 0; count--) {
		int r = parse_record(data, size, &at, ret);

		if (r < 0)
			return r;
	}
	return at == size ? 0 : -EPROTO;
}

static int parse_question(const uint8_t *data, size_t size, struct dns_query *ret)
{
	size_t at = DNS_HEADER;
	int r = parse_question_name(data, size, &at, ret);

	if (r < 0)
		return r;
	if (size - at < 4)
		return -EPROTO;
	ret->type = wire_get16(data + at);
	ret->class = wire_get16(data + at + 2);
	ret->question_end = at + 4;
	return 0;
}

int dns_parse_query(const uint8_t *data, size_t size, struct dns_query *ret)
{
	int r;

	*ret = (struct dns_query){};
	if (size < DNS_HEADER || size > DNS_MESSAGE_MAX)
		return -EBADMSG;
	ret->id = wire_get16(data + HEADER_ID);
	ret->flags = wire_get16(data + HEADER_FLAGS);
	if (ret->flags & FLAG_ANSWER)
		return -EBADMSG;
	if (ret->flags & FLAG_OPCODE)
		return -EOPNOTSUPP;
	if (wire_get16(data + HEADER_QUESTIONS) != 1)
		return -EPROTO;
	r = parse_question(data, size, ret);
	return r < 0 ? r : parse_records(data, size, ret->question_end, ret);
}

size_t dns_udp_size(const struct dns_query *query)
{
	return query->has_edns ? query->edns_size : DNS_UDP_MIN;
}

static int parse_reverse4(const char *name, struct net_address *ret)
{
	ret->family = AF_INET;
	for (int i = 3; i >= 0; i--) {
		unsigned value = 0, digits = 0;

		for (; *name >= '0' && *name <= '9' && digits < 3; digits++)
			value = value * 10 + (unsigned)(*name++ - '0');
		if (digits == 0 || value > 255 || *name++ != '.')
			return -EINVAL;
		ret->bytes[i] = (uint8_t)value;
	}
	return strcmp(name, "in-addr.arpa") == 0 ? 0 : -EINVAL;
}

static int parse_reverse6(const char *name, struct net_address *ret)
{
	static const char digits[] = "0123456789abcdef";

	ret->family = AF_INET6;
	for (int i = 31; i >= 0; i--) {
		const char *digit = *name ? strchr(digits, *name) : NULL;

		if (!digit || name[1] != '.')
			return -EINVAL;
		ret->bytes[i / 2] |= (uint8_t)((digit - digits) << (i % 2 ? 0 : 4));
		name += 2;
	}
	return strcmp(name, "ip6.arpa") == 0 ? 0 : -EINVAL;
}

int dns_parse_reverse(const char *name, struct net_address *ret)
{
	struct net_address address = {};

	if (parse_reverse4(name, &address) < 0) {
		address = (struct net_address){};
		if (parse_reverse6(name, &address) < 0)
			return -EINVAL;
	}
	*ret = address;
	return 0;
}

void dns_answer_begin(struct dns_answer *answer, const struct dns_query *query,
		      const uint8_t *message, uint8_t *ret, size_t max)
{
	size_t end = query->question_end ? query->question_end : DNS_HEADER;

	*answer = (struct dns_answer){.query = query, .data = ret, .size = end, .max = max};
	memcpy(ret, message, end);
	wire_put16(ret + HEADER_ID,
		   query->id); /* the message may have been sent on under another */
	memset(ret + HEADER_FLAGS, 0, DNS_HEADER - HEADER_FLAGS);
	wire_put16(ret + HEADER_QUESTIONS, query->question_end ? 1 : 0);
	/* Room for the OPT that goes behind all others. */
	if (query->has_edns)
		answer->max -= OPT_SIZE;
}

/* A record of the name in the question: NULL when there is no room. */
static uint8_t *add_record(struct dns_answer *answer, enum dns_type type, uint32_t ttl_s,
			   size_t size)
{
	uint8_t *at = answer->data + answer->size;

	if (answer->is_truncated || answer->max - answer->size < 12 + size) {
		answer->is_truncated = true;
		return NULL;
	}
	wire_put16(at, LABEL_POINTER << 8 | DNS_HEADER);
	wire_put16(at + 2, (uint16_t)type);
	wire_put16(at + 4, DNS_CLASS_IN);
	wire_put32(at + 6, ttl_s);
	wire_put16(at + 10, (uint16_t)size);
	answer->size += 12 + size;
	wire_put16(answer->data + HEADER_ANSWERS,
		   (uint16_t)(wire_get16(answer->data + HEADER_ANSWERS) + 1));
	return at + 12;
}

void dns_answer_add_address(struct dns_answer *answer, const struct net_address *address,
			    uint32_t ttl_s)
{
	size_t size = net_address_size(address);
	enum dns_type type = address->family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA;
	uint8_t *at = add_record(answer, type, ttl_s, size);

	if (at)
		memcpy(at, address->bytes, size);
}

/* Into ret, in wire form; its size, or 0 when it is no name. */
static size_t encode_name(const char *name, uint8_t ret[DNS_NAME_WIRE_MAX])
{
	size_t size = 0;

	for (;;) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > LABEL_MAX || size + label + 2 > DNS_NAME_WIRE_MAX)
			return 0;
		ret[size] = (uint8_t)label;
		memcpy(ret + size + 1, name, label);
		size += 1 + label;
		if (name[label] == '\0')
			break;
		name += label + 1;
	}
	ret[size] = 0;
	return size + 1;
}

void dns_answer_add_pointer(struct dns_answer *answer, const char *name, uint32_t ttl_s)
{
	uint8_t encoded[DNS_NAME_WIRE_MAX];
	size_t size = encode_name(name, encoded);
	uint8_t *at = size > 0 ? add_record(answer, DNS_TYPE_PTR, ttl_s, size) : NULL;

	if (at)
		memcpy(at, encoded, size);
}

static void add_opt(struct dns_answer *answer, enum dns_rcode rcode)
{
	uint8_t *at = answer->data + answer->size;

	memset(at, 0, OPT_SIZE);
	wire_put16(at + 1, TYPE_OPT);
	wire_put16(at + 3, OUR_EDNS_SIZE);
	at[5] = (uint8_t)(rcode >> 4);
	answer->size += OPT_SIZE;
	wire_put16(answer->data + HEADER_ADDITIONALS, 1);
}

size_t dns_answer_end(struct dns_answer *answer, enum dns_rcode rcode)
{
	const struct dns_query *query = answer->query;
	uint16_t kept = FLAG_OPCODE | FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED;
	uint16_t flags = FLAG_ANSWER | FLAG_RECURSION_AVAILABLE | (query->flags & kept);

	if (answer->is_truncated) {
		flags |= FLAG_TRUNCATED;
		answer->size = query->question_end;
		wire_put16(answer->data + HEADER_ANSWERS, 0);
	}
	if (rcode == DNS_RCODE_OK || rcode == DNS_RCODE_NXDOMAIN)
		flags |= FLAG_AUTHORITATIVE;
	wire_put16(answer->data + HEADER_FLAGS, (uint16_t)(flags | (rcode & FLAG_RCODE)));
	if (query->has_edns)
		add_opt(answer, rcode);
	return answer->size;
}

/* Byte by byte without regard to case: lengths of labels are below 'A', and so are never changed.
 */
static bool is_same_question(const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t name_size = size - 4;

	for (size_t i = 0; i < name_size; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return memcmp(a + name_size, b + name_size, 4) == 0;
}

int dns_check_answer(const struct dns_query *query, const uint8_t *sent, const uint8_t *data,
		     size_t size)
{
	uint16_t flags, questions;

	if (size < DNS_HEADER || wire_get16(data + HEADER_ID) != wire_get16(sent + HEADER_ID))
		return -EBADMSG;
	flags = wire_get16(data + HEADER_FLAGS);
	questions = wire_get16(data + HEADER_QUESTIONS);
	if ((flags & (FLAG_ANSWER | FLAG_OPCODE)) != FLAG_ANSWER)
		return -EBADMSG;
	if (questions == 0 && size == DNS_HEADER && (flags & FLAG_RCODE))
		return flags & FLAG_RCODE;
	if (questions != 1 || size < query->question_end ||
	    !is_same_question(data + DNS_HEADER, sent + DNS_HEADER,
			      query->question_end - DNS_HEADER))
		return -EBADMSG;
	return flags & FLAG_RCODE;
}

size_t dns_relay_answer(const struct dns_query *query, uint8_t *data, size_t size, size_t max)
{
	wire_put16(data + HEADER_ID, query->id);
	if (size <= max)
		return size;
	wire_put16(data + HEADER_FLAGS,
		   (uint16_t)(wire_get16(data + HEADER_FLAGS) | FLAG_TRUNCATED));
	memset(data + HEADER_ANSWERS, 0, DNS_HEADER - HEADER_ANSWERS);
	return query->question_end;
}
