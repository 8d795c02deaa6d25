/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The DHCP server: replies for each client state (RFC 2131, table 5), and malformed requests. */
#include "check.h"
#include "net/dhcp4.h"
#include "net/wire.h"

#define HEADER 240
#define AT_FLAGS 10
#define AT_CIADDR 12
#define AT_YIADDR 16
#define AT_GIADDR 24
#define AT_CHADDR 28
#define AT_SNAME 44
#define AT_FILE 108

#define CLIENT 0x0a4d0102 /* 10.77.1.2 */
#define SERVER 0x0a4d0101
#define OTHER 0xc0000207
#define BROADCAST 0xffffffff

static const struct dhcp4_config config = {
	.server = {.family = AF_INET, .bytes = {10, 77, 1, 1}},
	.client = {.family = AF_INET, .bytes = {10, 77, 1, 2}},
	.prefix_length = 28,
	.client_mac = {2, 0, 0, 0, 2, 1},
	.name_servers = {{.family = AF_INET, .bytes = {10, 77, 1, 1}},
			 {.family = AF_INET6, .bytes = {0xfd}},
			 {.family = AF_INET, .bytes = {192, 0, 2, 53}}},
	.name_server_count = 3,
	.host_name = "web",
	.mtu = 1500,
};

struct request {
	uint8_t data[1500];
	size_t size;
};

static struct request request_of(enum dhcp4_type type)
{
	struct request request = {.data = {1, 1, 6, 0, 1, 2, 3, 4}, .size = HEADER};

	memcpy(request.data + AT_CHADDR, config.client_mac, ETH_ALEN);
	wire_put32(request.data + 236, 0x63825363);
	request.data[request.size++] = 53;
	request.data[request.size++] = 1;
	request.data[request.size++] = (uint8_t)type;
	return request;
}

static void add(struct request *request, uint8_t code, const void *data, size_t size)
{
	request->data[request->size++] = code;
	request->data[request->size++] = (uint8_t)size;
	memcpy(request->data + request->size, data, size);
	request->size += size;
}

static void add32(struct request *request, uint8_t code, uint32_t value)
{
	uint8_t bytes[4];

	wire_put32(bytes, value);
	add(request, code, bytes, 4);
}

struct reply {
	uint8_t data[DHCP4_MESSAGE_MAX];
	size_t size;
	uint32_t to;
};

/* The reply's size; 0 if the request needs none or is malformed. */
static struct reply ask(const struct request *request)
{
	struct reply reply = {};
	struct dhcp4_request parsed;
	struct net_address to = {};

	if (dhcp4_parse(request->data, request->size, &parsed) < 0)
		return reply;
	reply.size = dhcp4_answer(&config, &parsed, reply.data, &to);
	reply.to = wire_get32(to.bytes);
	return reply;
}

/* The data of an option of the reply, or NULL. */
static const uint8_t *option(const struct reply *reply, uint8_t code, size_t *ret_size)
{
	for (size_t at = HEADER; reply->data[at] != 255; at += 2 + (size_t)reply->data[at + 1]) {
		assert_true(at + 2 + reply->data[at + 1] < reply->size);
		if (reply->data[at] == code) {
			*ret_size = reply->data[at + 1];
			return reply->data + at + 2;
		}
	}
	*ret_size = 0;
	return NULL;
}

static void assert_option(const struct reply *reply, uint8_t code, const void *data, size_t size)
{
	size_t found_size;
	const uint8_t *found = option(reply, code, &found_size);

	if (!found)
		fail_msg("option %u is missing", code);
	assert_int_equal(found_size, size);
	if (size > 0)
		assert_memory_equal(found, data, size);
}

static void assert_no_option(const struct reply *reply, uint8_t code)
{
	size_t size;

	assert_null(option(reply, code, &size));
}

static unsigned type_of(const struct reply *reply)
{
	size_t size;
	const uint8_t *type = reply->size ? option(reply, 53, &size) : NULL;

	return type ? *type : 0;
}

static void offer_has_all_that_a_machine_needs(void **state)
{
	static const uint8_t name_servers[] = {10, 77, 1, 1, 192, 0, 2, 53};
	struct request request = request_of(DHCP4_DISCOVER);
	struct reply reply = ask(&request);

	assert_int_equal(type_of(&reply), DHCP4_OFFER);
	assert_true(reply.size > 300);
	assert_int_equal(reply.data[0], 2);
	assert_int_equal(wire_get32(reply.data + 4), 0x01020304);
	assert_int_equal(wire_get32(reply.data + AT_YIADDR), CLIENT);
	assert_memory_equal(reply.data + AT_CHADDR, config.client_mac, ETH_ALEN);
	assert_option(&reply, 1, "\377\377\377\360", 4);
	assert_option(&reply, 3, config.server.bytes, 4);
	assert_option(&reply, 6, name_servers, sizeof(name_servers));
	assert_option(&reply, 12, "web", 3);
	assert_option(&reply, 26, "\5\334", 2);
	assert_option(&reply, 28, "\012\115\001\017", 4);
	assert_option(&reply, 51, "\0\1\121\200", 4);
	assert_option(&reply, 54, config.server.bytes, 4);
	assert_option(&reply, 58, "\0\0\250\300", 4);
	assert_option(&reply, 59, "\0\1\047\120", 4);
	assert_no_option(&reply, 80);
	assert_no_option(&reply, 61);
}

struct row {
	const char *what;
	enum dhcp4_type type;
	uint32_t ciaddr, requested, server;
	unsigned answer; /* 0: no reply */
	uint32_t to;
};

static void each_state_gets_its_answer(void **state)
{
	static const struct row rows[] = {
		{"selecting", DHCP4_REQUEST, 0, CLIENT, SERVER, DHCP4_ACK, CLIENT},
		{"selecting, wrong", DHCP4_REQUEST, 0, OTHER, SERVER, DHCP4_NAK, BROADCAST},
		{"selecting another", DHCP4_REQUEST, 0, OTHER, OTHER, 0, 0},
		{"selecting another's same", DHCP4_REQUEST, 0, CLIENT, OTHER, 0, 0},
		{"init-reboot", DHCP4_REQUEST, 0, CLIENT, 0, DHCP4_ACK, CLIENT},
		{"init-reboot, moved", DHCP4_REQUEST, 0, OTHER, 0, DHCP4_NAK, BROADCAST},
		{"renewing", DHCP4_REQUEST, CLIENT, 0, 0, DHCP4_ACK, CLIENT},
		{"rebinding, moved", DHCP4_REQUEST, OTHER, 0, 0, DHCP4_NAK, BROADCAST},
		{"renewing by name", DHCP4_REQUEST, CLIENT, 0, SERVER, DHCP4_ACK, CLIENT},
		{"nothing asked", DHCP4_REQUEST, 0, 0, 0, 0, 0},
		{"discover", DHCP4_DISCOVER, 0, 0, 0, DHCP4_OFFER, CLIENT},
		{"discover, a wish", DHCP4_DISCOVER, 0, OTHER, 0, DHCP4_OFFER, CLIENT},
		{"decline", DHCP4_DECLINE, 0, CLIENT, SERVER, 0, 0},
		{"release", DHCP4_RELEASE, CLIENT, 0, SERVER, 0, 0},
		{"inform", DHCP4_INFORM, OTHER, 0, 0, DHCP4_ACK, OTHER},
		{"inform, nobody", DHCP4_INFORM, 0, 0, 0, 0, 0},
		{"an offer", DHCP4_OFFER, 0, 0, 0, 0, 0},
		{"an ack", DHCP4_ACK, 0, 0, 0, 0, 0},
		{"lease query", 10, CLIENT, 0, 0, 0, 0},
		{"type 0", 0, 0, 0, 0, 0, 0},
		{"type 255", 255, 0, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request = request_of(rows[i].type);
		struct reply reply;

		wire_put32(request.data + AT_CIADDR, rows[i].ciaddr);
		if (rows[i].requested)
			add32(&request, 50, rows[i].requested);
		if (rows[i].server)
			add32(&request, 54, rows[i].server);
		reply = ask(&request);
		if (type_of(&reply) != rows[i].answer || reply.to != rows[i].to)
			fail_msg("%s: %u to %x", rows[i].what, type_of(&reply), reply.to);
		if (rows[i].answer == DHCP4_NAK)
			assert_int_equal(wire_get32(reply.data + AT_YIADDR), 0);
	}
}

static void client_that_hears_only_broadcasts_gets_one(void **state)
{
	struct request request = request_of(DHCP4_DISCOVER);
	struct reply reply;

	wire_put16(request.data + AT_FLAGS, 0x8000);
	reply = ask(&request);
	assert_int_equal(reply.to, BROADCAST);
	assert_int_equal(wire_get16(reply.data + AT_FLAGS), 0x8000);
	/* A client with an address gets the reply there. */
	request = request_of(DHCP4_REQUEST);
	wire_put16(request.data + AT_FLAGS, 0x8000);
	wire_put32(request.data + AT_CIADDR, CLIENT);
	reply = ask(&request);
	assert_int_equal(reply.to, CLIENT);
	assert_int_equal(wire_get32(reply.data + AT_CIADDR), CLIENT);
}

static void refusal_says_no_more_than_that(void **state)
{
	struct request request = request_of(DHCP4_REQUEST);
	struct reply reply;

	add32(&request, 50, OTHER);
	add(&request, 61, "\1me", 3);
	reply = ask(&request);
	assert_int_equal(type_of(&reply), DHCP4_NAK);
	assert_option(&reply, 54, config.server.bytes, 4);
	assert_option(&reply, 61, "\1me", 3);
	assert_no_option(&reply, 51);
	assert_no_option(&reply, 1);
}

static void inform_gets_no_address(void **state)
{
	struct request request = request_of(DHCP4_INFORM);
	struct reply reply;

	wire_put32(request.data + AT_CIADDR, CLIENT);
	reply = ask(&request);
	assert_int_equal(wire_get32(reply.data + AT_YIADDR), 0);
	assert_no_option(&reply, 51);
	assert_no_option(&reply, 58);
	assert_option(&reply, 3, config.server.bytes, 4);
}

static void only_what_was_asked_for_is_given(void **state)
{
	struct request request = request_of(DHCP4_DISCOVER);
	struct reply reply;

	add(&request, 55, "\006\171\012", 3);
	reply = ask(&request);
	assert_int_equal(reply.size, 300); /* the minimum length of BOOTP */
	assert_no_option(&reply, 3);
	assert_no_option(&reply, 12);
	assert_no_option(&reply, 28);
	assert_option(&reply, 1, "\377\377\377\360", 4);
	assert_option(&reply, 51, "\0\1\121\200", 4);
}

static void rapid_commit_saves_two_messages(void **state)
{
	struct request request = request_of(DHCP4_DISCOVER);
	struct reply reply;

	add(&request, 80, "", 0);
	reply = ask(&request);
	assert_int_equal(type_of(&reply), DHCP4_ACK);
	assert_option(&reply, 80, "", 0);
}

static void overloaded_fields_are_read(void **state)
{
	struct request request = {.data = {1, 1, 6}, .size = HEADER};
	struct reply reply;

	memcpy(request.data + AT_CHADDR, config.client_mac, ETH_ALEN);
	wire_put32(request.data + 236, 0x63825363);
	add(&request, 52, "\3", 1);
	memcpy(request.data + AT_FILE, "\65\1\1\377", 4);
	memcpy(request.data + AT_SNAME, "\75\2ab\377", 5);
	reply = ask(&request);
	assert_int_equal(type_of(&reply), DHCP4_OFFER);
	assert_option(&reply, 61, "ab", 2);
	/* An option that exceeds its field is ignored. */
	memset(request.data + AT_SNAME, 0, 64);
	memcpy(request.data + AT_SNAME + 60, "\75\3ab", 4);
	assert_int_equal(ask(&request).size, 0);
}

static void answer_fits_what_the_client_takes(void **state)
{
	struct request request = request_of(DHCP4_DISCOVER);
	uint8_t id[255];
	struct reply reply;

	memset(id, 'i', sizeof(id));
	add(&request, 61, id, sizeof(id));
	add(&request, 57, "\0\1", 2);
	reply = ask(&request);
	assert_true(reply.size <= 548);
	assert_option(&reply, 6, "\012\115\001\001\300\0\002\065", 8);
}

/* security row: N09 */
static void broken_requests_are_passed_over(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} rows[] = {
		{"a reply", 0, 2},
		{"no Ethernet", 1, 6},
		{"an address too long", 2, 16},
		{"no cookie", 236, 0},
		{"a relay", AT_GIADDR, 10},
		{"another machine", AT_CHADDR + 5, 9},
		{"an option cut", HEADER + 1, 2},
		{"no type", HEADER, 60},
		{"an end at once", HEADER, 255},
	};
	struct request good = request_of(DHCP4_DISCOVER);

	assert_true(ask(&good).size > 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request = good;

		request.data[rows[i].at] = rows[i].value;
		if (ask(&request).size > 0)
			fail_msg("%s is answered", rows[i].what);
	}
	while (good.size-- > 0)
		assert_int_equal(ask(&good).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offer_has_all_that_a_machine_needs),
		cmocka_unit_test(each_state_gets_its_answer),
		cmocka_unit_test(client_that_hears_only_broadcasts_gets_one),
		cmocka_unit_test(refusal_says_no_more_than_that),
		cmocka_unit_test(inform_gets_no_address),
		cmocka_unit_test(only_what_was_asked_for_is_given),
		cmocka_unit_test(rapid_commit_saves_two_messages),
		cmocka_unit_test(overloaded_fields_are_read),
		cmocka_unit_test(answer_fits_what_the_client_takes),
		cmocka_unit_test(broken_requests_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
