/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DNS messages: queries and their errors; building, matching and truncating answers. */
#include "check.h"
#include "net/dns.h"
#include "net/wire.h"

struct message {
	uint8_t data[2048];
	size_t size;
};

static void add(struct message *message, const void *data, size_t size)
{
	memcpy(message->data + message->size, data, size);
	message->size += size;
}

static void add_question(struct message *message, const char *name, uint16_t type)
{
	uint8_t end[5] = {0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1};

	while (*name) {
		size_t label = strcspn(name, ".");

		message->data[message->size++] = (uint8_t)label;
		add(message, name, label);
		name += label + (name[label] == '.');
	}
	add(message, end, sizeof(end));
}

static struct message query_of(const char *name, uint16_t type)
{
	struct message message = {.data = {0x12, 0x34, 1, 0, 0, 1}, .size = DNS_HEADER};

	add_question(&message, name, type);
	return message;
}

static void add_edns(struct message *message, uint16_t size, uint8_t version)
{
	uint8_t opt[11] = {0, 0, 41, (uint8_t)(size >> 8), (uint8_t)size, 0, version};

	message->data[11]++;
	add(message, opt, sizeof(opt));
}

static void queries_are_understood(void **state)
{
	struct message message = query_of("WWW.Ex-ample_1", DNS_TYPE_AAAA);
	struct dns_query query;

	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_string_equal(query.name, "www.ex-ample_1");
	assert_true(query.is_plain);
	assert_int_equal(query.id, 0x1234);
	assert_int_equal(query.type, DNS_TYPE_AAAA);
	assert_int_equal(query.question_end, message.size);
	assert_int_equal(dns_udp_size(&query), 512);
	add_edns(&message, 4096, 0);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_int_equal(dns_udp_size(&query), 4096);
	assert_int_equal(wire_get16(message.data + query.edns_size_at), 4096);
	message = query_of("", 2);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_string_equal(query.name, "");
}

static void small_edns_is_no_less_than_none(void **state)
{
	struct message message = query_of("a.example", DNS_TYPE_A);
	struct dns_query query;

	add_edns(&message, 0, 0);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_int_equal(dns_udp_size(&query), 512);
}

/* A dot or a NUL within a label must not turn it into another name. */
static void odd_labels_are_no_names_of_ours(void **state)
{
	static const uint8_t labels[] = {4, 'a', '.', 0, 0xff, 1, 'b', 0, 0, 1, 0, 1};
	struct message message = {.data = {0, 0, 1, 0, 0, 1}, .size = DNS_HEADER};
	struct dns_query query;

	add(&message, labels, sizeof(labels));
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_false(query.is_plain);
	assert_string_equal(query.name, "a???.b");
}

static void names_have_a_greatest_length(void **state)
{
	char name[300] = "";
	struct message message;
	struct dns_query query;

	for (int i = 0; i < 126; i++)
		strcat(name, "a.");
	strcat(name, "a");
	message = query_of(name, DNS_TYPE_A);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	assert_string_equal(query.name, name);
	strcat(name, ".a");
	message = query_of(name, DNS_TYPE_A);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), -EPROTO);
	memset(name, 'a', 64);
	name[64] = '\0';
	message = query_of(name, DNS_TYPE_A);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), -EPROTO);
	message = query_of(name + 1, DNS_TYPE_A);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
}

/* security row: N09 */
static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		int error;
	} rows[] = {
		{"an answer", 2, 0x80, -EBADMSG},
		{"a notification", 2, 0x20, -EOPNOTSUPP},
		{"no question", 5, 0, -EPROTO},
		{"two questions", 5, 2, -EPROTO},
		{"thousands of questions", 4, 0xff, -EPROTO},
		{"a record that isn't there", 7, 1, -EPROTO},
		{"thousands of records", 10, 0xff, -EPROTO},
		{"a pointer to itself", DNS_HEADER, 0xc0, -EPROTO},
		{"a label of 64", DNS_HEADER, 0x40, -EPROTO},
		{"a label beyond the end", DNS_HEADER, 40, -EPROTO},
	};
	struct message good = query_of("a.example", DNS_TYPE_A);
	struct dns_query query;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct message message = good;
		int r;

		message.data[rows[i].at] = rows[i].value;
		r = dns_parse_query(message.data, message.size, &query);
		if (r != rows[i].error)
			fail_msg("%s: %d", rows[i].what, r);
	}
	add(&good, "x", 1);
	assert_int_equal(dns_parse_query(good.data, good.size, &query), -EPROTO);
	good.size--;
	add_edns(&good, 512, 0);
	assert_int_equal(dns_parse_query(good.data, good.size, &query), 0);
	for (size_t size = 0; size < good.size; size++)
		assert_int_equal(dns_parse_query(good.data, size, &query),
				 size < DNS_HEADER ? -EBADMSG : -EPROTO);
	add_edns(&good, 512, 0);
	assert_int_equal(dns_parse_query(good.data, good.size, &query), -EPROTO);
}

static void reverse_names_are_addresses(void **state)
{
	static const struct {
		const char *name, *address;
	} rows[] = {
		{"2.1.77.10.in-addr.arpa", "10.77.1.2"},
		{"255.0.0.0.in-addr.arpa", "0.0.0.255"},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.0.0.0.7.7.d.f.ip6.arpa",
		 "fd77:f::1"},
		{"256.0.0.0.in-addr.arpa", NULL},
		{"0001.0.0.0.in-addr.arpa", NULL},
		{"1.0.0.in-addr.arpa", NULL},
		{"1.1.1.0.0.in-addr.arpa", NULL},
		{"..1.1.in-addr.arpa", NULL},
		{"2.1.77.10.in-addr.arpa.example", NULL},
		{"1.0.ip6.arpa", NULL},
		{"10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.0.0.0.7.7.d.f.ip6.arpa", NULL},
		{"in-addr.arpa", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[NET_ADDRESS_TEXT];
		struct net_address address;
		int r = dns_parse_reverse(rows[i].name, &address);

		assert_int_equal(r, rows[i].address ? 0 : -EINVAL);
		if (rows[i].address)
			assert_string_equal(net_address_format(&address, text), rows[i].address);
	}
}

static const struct net_address four = {.family = AF_INET, .bytes = {10, 77, 1, 2}};

static void answer_byte_by_byte(void **state)
{
	struct message message = query_of("dB", DNS_TYPE_A);
	static const uint8_t wanted[] = {
		0x12, 0x34, 0x85,      0x80,	   0, 1, 0, 2, 0, 0, 0, 1, 2, 'd', 'B', 0,   0, 1,
		0,    1,    0xc0,      12,	   0, 1, 0, 1, 0, 0, 0, 5, 0, 4,   10,	77,  1, 2,
		0xc0, 12,   0,	       12,	   0, 1, 0, 0, 0, 6, 0, 5, 1, 'a', 1,	'b', 0, 0,
		0,    41,   1232 >> 8, 1232 & 255, 0, 0, 0, 0, 0, 0};
	uint8_t data[512];
	struct dns_answer answer;
	struct dns_query query;

	add_edns(&message, 1232, 0);
	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	dns_answer_begin(&answer, &query, message.data, data, sizeof(data));
	dns_answer_add_address(&answer, &four, 5);
	dns_answer_add_pointer(&answer, "a.b", 6);
	assert_int_equal(dns_answer_end(&answer, DNS_RCODE_OK), sizeof(wanted));
	assert_memory_equal(data, wanted, sizeof(wanted));
}

static void too_many_records_are_none(void **state)
{
	struct message message = query_of("db", DNS_TYPE_A);
	uint8_t data[512];
	struct dns_answer answer;
	struct dns_query query;
	/* 20 bytes of header and question, and 16 for each answer. */
	const size_t fit = (512 - 20) / 16;

	assert_int_equal(dns_parse_query(message.data, message.size, &query), 0);
	for (size_t count = fit; count <= fit + 1; count++) {
		dns_answer_begin(&answer, &query, message.data, data, sizeof(data));
		for (size_t i = 0; i < count; i++)
			dns_answer_add_address(&answer, &four, 5);
		assert_int_equal(dns_answer_end(&answer, DNS_RCODE_OK),
				 count == fit ? 20 + 16 * fit : 20);
		assert_int_equal(data[2] & 2, count == fit ? 0 : 2);
		assert_int_equal(wire_get16(data + 6), count == fit ? fit : 0);
	}
}

static void errors_can_be_told_of_anything(void **state)
{
	struct message message = query_of("a.example", DNS_TYPE_A);
	uint8_t data[DNS_UDP_MIN];
	struct dns_answer answer;
	struct dns_query query;

	assert_int_equal(dns_parse_query(message.data, 15, &query), -EPROTO);
	/* It was forwarded with another id; the client gets its own back. */
	wire_put16(message.data, 0x9999);
	dns_answer_begin(&answer, &query, message.data, data, sizeof(data));
	assert_int_equal(dns_answer_end(&answer, DNS_RCODE_FORMAT), DNS_HEADER);
	assert_memory_equal(data, "\x12\x34\x81\x81\0\0\0\0\0\0\0\0", DNS_HEADER);
}

static struct message answer_to(const struct message *asked)
{
	struct message answer = *asked;

	wire_put16(answer.data + 2, 0x8180);
	return answer;
}

/* security row: N10 */
static void only_the_right_answer_is_taken(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		int result;
	} rows[] = {
		{"as it is", 0, 0x12, 0},
		{"another number", 1, 0x35, -EBADMSG},
		{"a query", 2, 0x01, -EBADMSG},
		{"a notification", 2, 0xa1, -EBADMSG},
		{"NXDOMAIN", 3, 0x83, 3},
		{"no question", 5, 0, -EBADMSG},
		{"two questions", 5, 2, -EBADMSG},
		{"another case", DNS_HEADER + 1, 'A', 0},
		{"another name", DNS_HEADER + 1, 'b', -EBADMSG},
		{"another label", DNS_HEADER, 2, -EBADMSG},
		{"another type", DNS_HEADER + 12, 28, -EBADMSG},
		{"another class", DNS_HEADER + 14, 3, -EBADMSG},
	};
	struct message sent = query_of("a.example", DNS_TYPE_A), good = answer_to(&sent);
	struct dns_query query;

	assert_int_equal(dns_parse_query(sent.data, sent.size, &query), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct message answer = good;
		int r;

		answer.data[rows[i].at] = rows[i].value;
		r = dns_check_answer(&query, sent.data, answer.data, answer.size);
		if (r != rows[i].result)
			fail_msg("%s: %d", rows[i].what, r);
	}
	for (size_t size = 0; size < good.size; size++)
		assert_int_equal(dns_check_answer(&query, sent.data, good.data, size), -EBADMSG);
	/* An error without question, as some servers send it. */
	assert_int_equal(dns_check_answer(&query, sent.data,
					  (const uint8_t *)"\x12\x34\x81\x82\0\0\0\0\0\0\0\0", 12),
			 DNS_RCODE_SERVFAIL);
}

static void answer_goes_on_as_the_client_takes_it(void **state)
{
	struct message sent = query_of("a.example", DNS_TYPE_A), answer = answer_to(&sent);
	struct dns_query query;

	assert_int_equal(dns_parse_query(sent.data, sent.size, &query), 0);
	query.id = 0x7777;
	wire_put16(answer.data + 6, 1);
	answer.size = 512;
	assert_int_equal(dns_relay_answer(&query, answer.data, 512, 512), 512);
	assert_int_equal(wire_get16(answer.data), 0x7777);
	assert_int_equal(answer.data[2] & 2, 0);
	assert_int_equal(dns_relay_answer(&query, answer.data, 513, 512), query.question_end);
	assert_int_equal(answer.data[2] & 2, 2);
	assert_int_equal(wire_get16(answer.data + 4), 1);
	assert_int_equal(wire_get16(answer.data + 6), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_are_understood),
		cmocka_unit_test(small_edns_is_no_less_than_none),
		cmocka_unit_test(odd_labels_are_no_names_of_ours),
		cmocka_unit_test(names_have_a_greatest_length),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(reverse_names_are_addresses),
		cmocka_unit_test(answer_byte_by_byte),
		cmocka_unit_test(too_many_records_are_none),
		cmocka_unit_test(errors_can_be_told_of_anything),
		cmocka_unit_test(only_the_right_answer_is_taken),
		cmocka_unit_test(answer_goes_on_as_the_client_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
