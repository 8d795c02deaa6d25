/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides which questions of a machine are answered here: those for names and addresses of
 * machines, for names that have no meaning beyond this host, and malformed ones. All others go to
 * the host's resolvers.
 * Supervisor's side.
 */
#include <errno.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "net/names.h"
#include "net/wire.h"
#include "serve/link_internal.h"

#define GATEWAY_NAME "_gateway"
#define LOCALHOST_TTL_S 86400
/* RFC 4795, 2.1.1 */
#define LLMNR_ANSWER 0x8000
#define LLMNR_CONFLICT 0x0400

static const struct net_address localhost[] = {
	{.family = AF_INET, .bytes = {127, 0, 0, 1}},
	{.family = AF_INET6, .bytes = {[15] = 1}},
};

size_t link_dns_fail(const struct dns_query *query, const uint8_t *message, enum dns_rcode rcode,
		     uint8_t *ret)
{
	struct dns_answer answer;

	dns_answer_begin(&answer, query, message, ret, DNS_UDP_MIN);
	return dns_answer_end(&answer, rcode);
}

static bool wants(const struct dns_query *query, int family)
{
	return query->type == DNS_TYPE_ANY ||
	       query->type == (family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA);
}

static void add_addresses(struct dns_answer *answer, const struct net_address *addresses,
			  size_t count, uint32_t ttl_s)
{
	for (size_t i = 0; i < count; i++)
		if (net_address_is_set(&addresses[i]) && wants(answer->query, addresses[i].family))
			dns_answer_add_address(answer, &addresses[i], ttl_s);
}

/* RFC 6761, 6.3 */
static bool is_localhost(const char *name)
{
	return streq(name, "localhost") || str_has_suffix(name, ".localhost");
}

static enum dns_rcode answer_localhost(struct dns_answer *answer)
{
	add_addresses(answer, localhost, ARRAY_SIZE(localhost), LOCALHOST_TTL_S);
	return DNS_RCODE_OK;
}

static enum dns_rcode answer_gateway(const struct link_service *service, struct dns_answer *answer)
{
	const struct net_address addresses[] = {service->lease.host4, service->lease.host6};

	add_addresses(answer, addresses, ARRAY_SIZE(addresses), LINK_TTL_S);
	return DNS_RCODE_OK;
}

static bool asks_for_address(const struct dns_query *query)
{
	static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_ANY, DNS_TYPE_SVCB,
					 DNS_TYPE_HTTPS};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (query->type == types[i])
			return true;
	return false;
}

/* Names below our own suffix, or without a dot, must not be sent to others. */
static bool is_of_machines(const char *name)
{
	return *name && (!strchr(name, '.') || str_has_suffix(name, NET_NAMES_SUFFIX));
}

/*
 * A name of a machine, bare or full. One that is no machine's is not told to the world when an
 * address is asked for; "com. NS" and the like are what a validating resolver inside asks.
 */
static int answer_machine(struct dns_answer *answer)
{
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	const struct dns_query *query = answer->query;
	int count = query->is_plain ? net_names_find(query->name, addresses) : -ENOENT;

	if (count < 0)
		return asks_for_address(query) ? DNS_RCODE_NXDOMAIN : -ENOENT;
	add_addresses(answer, addresses, (size_t)count, LINK_TTL_S);
	return DNS_RCODE_OK;
}

static bool is_localhost_address(const struct net_address *address)
{
	return net_address_equal(address, &localhost[0]) ||
	       net_address_equal(address, &localhost[1]);
}

/* The name of an address of ours: a new string in *ret_owned, or a constant. NULL: none. */
static const char *name_of(const struct link_service *service, const struct net_address *address,
			   char **ret_owned)
{
	if (net_address_equal(address, &service->lease.host4) ||
	    net_address_equal(address, &service->lease.host6))
		return GATEWAY_NAME;
	if (is_localhost_address(address))
		return "localhost";
	return net_names_find_address(address, ret_owned) < 0 ? NULL : *ret_owned;
}

/* Addresses of our own links are unknown to others, and must not be sent to them. */
static bool is_own(const struct link_service *service, const struct net_address *address)
{
	bool is_loopback = is_localhost_address(address) ||
			   (address->family == AF_INET && address->bytes[0] == 127);

	return is_loopback || net_prefix_contains(&service->lease.subnet4, address) ||
	       net_prefix_contains(&service->lease.subnet6, address);
}

static int answer_reverse(const struct link_service *service, const struct net_address *address,
			  struct dns_answer *answer)
{
	autofree char *owned = NULL;
	const char *name = name_of(service, address, &owned);

	if (!name)
		return is_own(service, address) ? DNS_RCODE_NXDOMAIN : -ENOENT;
	if (answer->query->type == DNS_TYPE_PTR || answer->query->type == DNS_TYPE_ANY)
		dns_answer_add_pointer(answer, name, LINK_TTL_S);
	return DNS_RCODE_OK;
}

/* A response code, -ENOENT: not ours to answer, or -EBUSY: too many at once, keep silent. */
static int answer_locally(struct link_service *service, struct dns_answer *answer)
{
	const struct dns_query *query = answer->query;
	struct net_address address;

	if (is_localhost(query->name))
		return answer_localhost(answer);
	if (streq(query->name, GATEWAY_NAME))
		return answer_gateway(service, answer);
	if (is_of_machines(query->name))
		return answer_machine(answer);
	if (!query->is_plain || dns_parse_reverse(query->name, &address) < 0)
		return -ENOENT;
	if (!link_bucket_take(&service->reverse))
		return -EBUSY;
	return answer_reverse(service, &address, answer);
}

/* The response code for a malformed question, or 0. */
static enum dns_rcode check_query(const struct dns_query *query, int parsed)
{
	if (parsed < 0)
		return parsed == -EPROTO ? DNS_RCODE_FORMAT : DNS_RCODE_NOTIMP;
	if (query->has_edns && query->edns_version > 0)
		return DNS_RCODE_BADVERS;
	if (query->class != DNS_CLASS_IN || query->type == DNS_TYPE_AXFR ||
	    query->type == DNS_TYPE_IXFR)
		return DNS_RCODE_REFUSED;
	return DNS_RCODE_OK;
}

enum link_verdict link_dns_decide(struct link_service *service, const uint8_t *data, size_t size,
				  bool is_udp, struct dns_query *ret_query, uint8_t *ret,
				  size_t max, size_t *ret_size)
{
	int parsed = dns_parse_query(data, size, ret_query), rcode;
	struct dns_answer answer;

	*ret_size = 0;
	if (parsed == -EBADMSG)
		return LINK_ANSWERED;
	rcode = (int)check_query(ret_query, parsed);
	dns_answer_begin(&answer, ret_query, data, ret,
			 is_udp ? MIN(max, dns_udp_size(ret_query)) : max);
	if (rcode == DNS_RCODE_OK)
		rcode = answer_locally(service, &answer);
	if (rcode == -ENOENT)
		return LINK_FORWARD;
	if (rcode >= 0)
		*ret_size = dns_answer_end(&answer, (enum dns_rcode)rcode);
	return LINK_ANSWERED;
}

/*
 * Answers for known names only: in LLMNR, silence means "no such name". The machine's resolver asks
 * for its own name to find out whether another host has it.
 */
static bool is_for_others(const struct link_service *service, const struct dns_query *query)
{
	return query->class == DNS_CLASS_IN && asks_for_address(query) && query->is_plain &&
	       !(query->flags & LLMNR_CONFLICT) && !strchr(query->name, '.') &&
	       strcasecmp(query->name, service->machine) != 0;
}

void link_dns_on_llmnr(struct link_service *service, const struct frame_packet *packet)
{
	bool is_ipv4 = packet->source.family == AF_INET;
	struct link_client client = {.client = packet->source,
				     .server = is_ipv4 ? service->lease.host4
						       : link_local_address(service),
				     .port = packet->source_port};
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	uint8_t data[LINK_FRAME_MAX];
	struct dns_answer answer;
	struct dns_query query;
	size_t size;
	int count;

	if (dns_parse_query(packet->payload, packet->size, &query) < 0 ||
	    !is_for_others(service, &query))
		return;
	count = net_names_find(query.name, addresses);
	if (count < 0)
		return;
	dns_answer_begin(&answer, &query, packet->payload, data, DNS_UDP_MIN);
	add_addresses(&answer, addresses, (size_t)count, LINK_TTL_S);
	size = dns_answer_end(&answer, DNS_RCODE_OK);
	/* LLMNR gives the flags of DNS another meaning. */
	wire_put16(data + 2, LLMNR_ANSWER);
	link_send_udp(service, &client, LLMNR_PORT, data, size);
}

void link_dns_on_packet(struct link_service *service, const struct frame_packet *packet)
{
	struct link_client client = {.client = packet->source,
				     .server = packet->destination,
				     .port = packet->source_port};
	uint8_t answer[LINK_FRAME_MAX];
	struct dns_query query;
	size_t size;

	if (link_dns_decide(service, packet->payload, packet->size, true, &query, answer,
			    link_udp_room(service, packet->source.family), &size) == LINK_FORWARD)
		link_forward_ask(service, &client, &query, packet->payload, packet->size);
	else if (size > 0)
		link_send_udp(service, &client, DNS_PORT, answer, size);
}
