/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: N09 */
/*
 * DNS from both sides: the bytes as a machine's query, and as a server's answer to a query of ours.
 * Aborts when an answer we make does not answer the query, or does not fit, or when a name holds
 * what it must not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* a.example A, number 0x1234 */
static const uint8_t sent[] = {0x12, 0x34, 1,	0,   0,	  1,   0,   0,	 0, 0, 0, 0, 1, 'a',
			       7,    'e',  'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};

static void check_name(const struct dns_query *query)
{
	struct net_address address;

	if (strlen(query->name) >= DNS_NAME_TEXT_MAX)
		abort();
	for (const char *p = query->name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.?", *p))
			abort();
	if (dns_parse_reverse(query->name, &address) == 0 && !net_address_is_set(&address))
		abort();
}

static void check_answers(const struct dns_query *query, const uint8_t *data, size_t size)
{
	static const struct net_address address = {.family = AF_INET6};
	uint8_t reply[2048];

	for (size_t records = 0; records < 40; records += 13) {
		struct dns_answer answer;
		size_t max = dns_udp_size(query), length;

		max = max < sizeof(reply) ? max : sizeof(reply);
		dns_answer_begin(&answer, query, data, reply, max);
		for (size_t i = 0; i < records; i++)
			dns_answer_add_address(&answer, &address, 5);
		dns_answer_add_pointer(&answer, "some-name.of_ours", 5);
		length = dns_answer_end(&answer, DNS_RCODE_OK);
		if (length > max || dns_check_answer(query, data, reply, length) != DNS_RCODE_OK)
			abort();
		if (dns_relay_answer(query, reply, length, DNS_UDP_MIN) > DNS_UDP_MIN)
			abort();
	}
}

static void as_query(const uint8_t *data, size_t size)
{
	uint8_t reply[DNS_UDP_MIN];
	struct dns_answer answer;
	struct dns_query query;
	int r = dns_parse_query(data, size, &query);

	if (r == -EBADMSG)
		return;
	check_name(&query);
	if (r == 0) {
		check_answers(&query, data, size);
		return;
	}
	dns_answer_begin(&answer, &query, data, reply, sizeof(reply));
	if (dns_answer_end(&answer, DNS_RCODE_FORMAT) > sizeof(reply))
		abort();
}

static void as_answer(const uint8_t *data, size_t size)
{
	struct dns_query query;
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy || dns_parse_query(sent, sizeof(sent), &query) < 0)
		abort();
	memcpy(copy, data, size);
	if (dns_check_answer(&query, sent, copy, size) >= 0 &&
	    dns_relay_answer(&query, copy, size, 20 + query.question_end) > size)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_query(data, size);
	as_answer(data, size);
	return 0;
}
