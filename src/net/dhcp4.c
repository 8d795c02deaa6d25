/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A DHCPv4 server without state. Everything that comes in is hostile. Pure. Supervisor's side. */
#include "net/dhcp4.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/macro.h"
#include "net/wire.h"

/* RFC 2131, figure 1 */
enum field {
	FIELD_OP = 0,
	FIELD_HTYPE = 1,
	FIELD_HLEN = 2,
	FIELD_XID = 4,
	FIELD_FLAGS = 10,
	FIELD_CIADDR = 12,
	FIELD_YIADDR = 16,
	FIELD_GIADDR = 24,
	FIELD_CHADDR = 28,
	FIELD_SNAME = 44,
	FIELD_FILE = 108,
	FIELD_COOKIE = 236,
	FIELD_OPTIONS = 240,
};

enum option {
	OPTION_PAD = 0,
	OPTION_SUBNET_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_NAME_SERVERS = 6,
	OPTION_HOST_NAME = 12,
	OPTION_MTU = 26,
	OPTION_BROADCAST = 28,
	OPTION_REQUESTED_ADDRESS = 50,
	OPTION_LEASE_TIME = 51,
	OPTION_OVERLOAD = 52,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_PARAMETERS = 55,
	OPTION_MESSAGE_SIZE = 57,
	OPTION_T1 = 58,
	OPTION_T2 = 59,
	OPTION_CLIENT_ID = 61,
	OPTION_RAPID_COMMIT = 80,
	OPTION_END = 255,
};

#define BOOTREQUEST 1
#define BOOTREPLY 2
#define MAGIC_COOKIE 0x63825363
#define FLAG_BROADCAST 0x8000
#define OVERLOAD_FILE 1
#define OVERLOAD_SNAME 2
#define MESSAGE_MIN 300 /* BOOTP; some clients drop less */
/* RFC 2131, 2: every client accepts this size, without the headers of IP and UDP. */
#define CLIENT_TAKES_MIN (576 - 28)

struct message {
	uint8_t *data;
	size_t size, max;
};

static int parse_options(struct dhcp4_request *request, size_t at, size_t end)
{
	const uint8_t *data = request->data;

	while (at < end && data[at] != OPTION_END) {
		uint8_t code = data[at++];

		if (code == OPTION_PAD)
			continue;
		if (at >= end || data[at] > end - at - 1)
			return -EBADMSG;
		if (!request->option[code])
			request->option[code] = (uint16_t)at;
		at += 1 + (size_t)data[at];
	}
	return 0;
}

const uint8_t *dhcp4_option(const struct dhcp4_request *request, uint8_t code, size_t min,
			    size_t max, size_t *ret_size)
{
	const uint8_t *option = request->data + request->option[code];

	if (!request->option[code] || option[0] < min || option[0] > max)
		return NULL;
	if (ret_size)
		*ret_size = option[0];
	return option + 1;
}

static uint32_t option_address(const struct dhcp4_request *request, uint8_t code)
{
	const uint8_t *option = dhcp4_option(request, code, 4, 4, NULL);

	return option ? wire_get32(option) : 0;
}

enum dhcp4_type dhcp4_type(const struct dhcp4_request *request)
{
	return *dhcp4_option(request, OPTION_TYPE, 1, 1, NULL);
}

/* RFC 2131, 4.1: options first, then `file`, then `sname`. */
static int parse_overload(struct dhcp4_request *request)
{
	const uint8_t *overload = dhcp4_option(request, OPTION_OVERLOAD, 1, 1, NULL);
	int r = 0;

	if (overload && (*overload & OVERLOAD_FILE))
		r = parse_options(request, FIELD_FILE, FIELD_COOKIE);
	if (r >= 0 && overload && (*overload & OVERLOAD_SNAME))
		r = parse_options(request, FIELD_SNAME, FIELD_FILE);
	return r;
}

int dhcp4_parse(const uint8_t *data, size_t size, struct dhcp4_request *ret)
{
	int r;

	if (size < FIELD_OPTIONS || size > UINT16_MAX || data[FIELD_OP] != BOOTREQUEST ||
	    data[FIELD_HTYPE] != 1 || data[FIELD_HLEN] != ETH_ALEN ||
	    wire_get32(data + FIELD_COOKIE) != MAGIC_COOKIE)
		return -EBADMSG;
	*ret = (struct dhcp4_request){.data = data};
	r = parse_options(ret, FIELD_OPTIONS, size);
	if (r >= 0)
		r = parse_overload(ret);
	if (r < 0)
		return r;
	return dhcp4_option(ret, OPTION_TYPE, 1, 1, NULL) ? 0 : -EBADMSG;
}

/* Leaves out what does not fit, so call it for the most important option first. */
static void add_option(struct message *message, uint8_t code, const void *data, size_t size)
{
	if (size > UINT8_MAX || message->size + 2 + size + 1 > message->max)
		return;
	message->data[message->size++] = code;
	message->data[message->size++] = (uint8_t)size;
	if (size > 0)
		memcpy(message->data + message->size, data, size);
	message->size += size;
}

static void add_option32(struct message *message, uint8_t code, uint32_t value)
{
	uint8_t bytes[4];

	wire_put32(bytes, value);
	add_option(message, code, bytes, sizeof(bytes));
}

static uint32_t mask_of(const struct dhcp4_config *config)
{
	return config->prefix_length ? UINT32_MAX << (32 - config->prefix_length) : 0;
}

static void add_mask(struct message *message, const struct dhcp4_config *config)
{
	add_option32(message, OPTION_SUBNET_MASK, mask_of(config));
}

static void add_router(struct message *message, const struct dhcp4_config *config)
{
	add_option(message, OPTION_ROUTER, config->server.bytes, 4);
}

static void add_name_servers(struct message *message, const struct dhcp4_config *config)
{
	uint8_t bytes[4 * DHCP4_NAME_SERVERS_MAX];
	size_t size = 0;

	for (size_t i = 0; i < config->name_server_count; i++)
		if (config->name_servers[i].family == AF_INET) {
			memcpy(bytes + size, config->name_servers[i].bytes, 4);
			size += 4;
		}
	if (size > 0)
		add_option(message, OPTION_NAME_SERVERS, bytes, size);
}

static void add_host_name(struct message *message, const struct dhcp4_config *config)
{
	if (config->host_name && config->host_name[0])
		add_option(message, OPTION_HOST_NAME, config->host_name, strlen(config->host_name));
}

static void add_mtu(struct message *message, const struct dhcp4_config *config)
{
	uint8_t bytes[2];

	wire_put16(bytes, config->mtu);
	if (config->mtu)
		add_option(message, OPTION_MTU, bytes, sizeof(bytes));
}

static void add_broadcast(struct message *message, const struct dhcp4_config *config)
{
	add_option32(message, OPTION_BROADCAST,
		     wire_get32(config->client.bytes) | ~mask_of(config));
}

/* The mask has to come before the router (RFC 2132, 3.3). */
static const struct parameter {
	uint8_t code;
	bool is_always_given;
	void (*add)(struct message *message, const struct dhcp4_config *config);
} parameters[] = {
	{OPTION_SUBNET_MASK, true, add_mask},		{OPTION_ROUTER, false, add_router},
	{OPTION_NAME_SERVERS, false, add_name_servers}, {OPTION_BROADCAST, false, add_broadcast},
	{OPTION_HOST_NAME, false, add_host_name},	{OPTION_MTU, false, add_mtu},
};

static void add_parameters(struct message *message, const struct dhcp4_config *config,
			   const struct dhcp4_request *request)
{
	size_t count = 0;
	const uint8_t *asked = dhcp4_option(request, OPTION_PARAMETERS, 1, UINT8_MAX, &count);

	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
		if (!asked || parameters[i].is_always_given ||
		    memchr(asked, parameters[i].code, count))
			parameters[i].add(message, config);
}

static size_t message_max(const struct dhcp4_request *request)
{
	const uint8_t *option = dhcp4_option(request, OPTION_MESSAGE_SIZE, 2, 2, NULL);
	size_t max = option ? wire_get16(option) : 0;

	max = max > 28 ? max - 28 : 0;
	return MIN(MAX(max, (size_t)CLIENT_TAKES_MIN), (size_t)DHCP4_MESSAGE_MAX);
}

static void begin(struct message *message, const struct dhcp4_config *config,
		  const struct dhcp4_request *request, enum dhcp4_type type)
{
	const uint8_t *in = request->data;
	uint8_t code = (uint8_t)type;

	assert(in); /* a request that was parsed has its bytes */
	memset(message->data, 0, DHCP4_MESSAGE_MAX);
	message->data[FIELD_OP] = BOOTREPLY;
	memcpy(message->data + FIELD_HTYPE, in + FIELD_HTYPE, 2);
	memcpy(message->data + FIELD_XID, in + FIELD_XID, 4);
	memcpy(message->data + FIELD_FLAGS, in + FIELD_FLAGS, 2);
	memcpy(message->data + FIELD_CHADDR, in + FIELD_CHADDR, 16);
	wire_put32(message->data + FIELD_COOKIE, MAGIC_COOKIE);
	message->size = FIELD_OPTIONS;
	message->max = message_max(request);
	add_option(message, OPTION_TYPE, &code, 1);
	add_option(message, OPTION_SERVER, config->server.bytes, 4);
}

/* RFC 6842: the client's own identifier goes back, in every kind of answer. */
static size_t finish(struct message *message, const struct dhcp4_request *request)
{
	size_t size;
	const uint8_t *id = dhcp4_option(request, OPTION_CLIENT_ID, 1, UINT8_MAX, &size);

	if (id)
		add_option(message, OPTION_CLIENT_ID, id, size);
	message->data[message->size++] = OPTION_END;
	return MAX(message->size, (size_t)MESSAGE_MIN);
}

/* RFC 2131, 4.1: to the address that the client has, else to the one it gets, or broadcast. */
static struct net_address destination(const struct dhcp4_config *config,
				      const struct dhcp4_request *request)
{
	struct net_address to = {.family = AF_INET, .v4.s_addr = INADDR_BROADCAST};

	if (wire_get32(request->data + FIELD_CIADDR))
		memcpy(to.bytes, request->data + FIELD_CIADDR, 4);
	else if (!(wire_get16(request->data + FIELD_FLAGS) & FLAG_BROADCAST))
		to = config->client;
	return to;
}

static size_t give(const struct dhcp4_config *config, const struct dhcp4_request *request,
		   enum dhcp4_type type, uint8_t *ret, struct net_address *ret_to)
{
	struct message message = {.data = ret};

	begin(&message, config, request, type);
	if (type == DHCP4_ACK)
		memcpy(ret + FIELD_CIADDR, request->data + FIELD_CIADDR, 4);
	if (dhcp4_type(request) != DHCP4_INFORM) {
		memcpy(ret + FIELD_YIADDR, config->client.bytes, 4);
		add_option32(&message, OPTION_LEASE_TIME, DHCP4_LEASE_S);
		add_option32(&message, OPTION_T1, DHCP4_LEASE_S / 2);
		add_option32(&message, OPTION_T2, DHCP4_LEASE_S / 8 * 7);
	}
	if (dhcp4_type(request) == DHCP4_DISCOVER && type == DHCP4_ACK)
		add_option(&message, OPTION_RAPID_COMMIT, NULL, 0);
	add_parameters(&message, config, request);
	*ret_to = destination(config, request);
	return finish(&message, request);
}

/* Always broadcast: the client must give up the address that it has. */
static size_t refuse(const struct dhcp4_config *config, const struct dhcp4_request *request,
		     uint8_t *ret, struct net_address *ret_to)
{
	struct message message = {.data = ret};

	begin(&message, config, request, DHCP4_NAK);
	*ret_to = (struct net_address){.family = AF_INET, .v4.s_addr = INADDR_BROADCAST};
	return finish(&message, request);
}

static size_t answer_discover(const struct dhcp4_config *config,
			      const struct dhcp4_request *request, uint8_t *ret,
			      struct net_address *ret_to)
{
	bool is_rapid = dhcp4_option(request, OPTION_RAPID_COMMIT, 0, 0, NULL);

	return give(config, request, is_rapid ? DHCP4_ACK : DHCP4_OFFER, ret, ret_to);
}

/* RFC 2131, 4.3.2: what the client sends tells which state it is in. */
static size_t answer_request(const struct dhcp4_config *config, const struct dhcp4_request *request,
			     uint8_t *ret, struct net_address *ret_to)
{
	uint32_t wanted = option_address(request, OPTION_REQUESTED_ADDRESS);
	uint32_t server = option_address(request, OPTION_SERVER);

	if (server && server != wire_get32(config->server.bytes))
		return 0;
	if (!wanted)
		wanted = wire_get32(request->data + FIELD_CIADDR);
	if (!wanted)
		return 0;
	if (wanted != wire_get32(config->client.bytes))
		return refuse(config, request, ret, ret_to);
	return give(config, request, DHCP4_ACK, ret, ret_to);
}

static size_t answer_inform(const struct dhcp4_config *config, const struct dhcp4_request *request,
			    uint8_t *ret, struct net_address *ret_to)
{
	if (!wire_get32(request->data + FIELD_CIADDR))
		return 0;
	return give(config, request, DHCP4_ACK, ret, ret_to);
}

size_t dhcp4_answer(const struct dhcp4_config *config, const struct dhcp4_request *request,
		    uint8_t ret[DHCP4_MESSAGE_MAX], struct net_address *ret_to)
{
	/* DECLINE and RELEASE change nothing: the address belongs to the client in any case. */
	static size_t (*const answers[])(const struct dhcp4_config *config,
					 const struct dhcp4_request *request, uint8_t *ret,
					 struct net_address *ret_to) = {
		[DHCP4_DISCOVER] = answer_discover,
		[DHCP4_REQUEST] = answer_request,
		[DHCP4_INFORM] = answer_inform,
	};
	enum dhcp4_type type = dhcp4_type(request);

	if ((size_t)type >= ARRAY_SIZE(answers) || !answers[type])
		return 0;
	/* From a relay, or a link inside the machine: not our only client. */
	if (wire_get32(request->data + FIELD_GIADDR) ||
	    memcmp(request->data + FIELD_CHADDR, config->client_mac, ETH_ALEN) != 0)
		return 0;
	return answers[type](config, request, ret, ret_to);
}
