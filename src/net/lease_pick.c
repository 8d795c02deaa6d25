/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The choice of a machine's subnets and addresses: a hash says where to begin, and from there the
 * first that overlaps nothing is taken. Both families are numbers here: an IPv4 address, or the
 * upper half of an IPv6 one. Pure but for the random prefix of a host without an id.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lib/hash.h"
#include "lib/macro.h"
#include "lib/time.h"
#include "net/lease_book.h"

#define US_PER_DAY (24 * 3600 * USEC_PER_SEC)
#define ZONE_FIRST 2
#define ZONE_COUNT 253 /* of a /24, without its own address, the host, and broadcast */

struct range {
	uint64_t first, last;
};

/* RFC 1918. Zones have a range of their own, so that scattered /28s leave room for a /24. */
static const struct pool {
	struct range links, zones;
} pools4[] = {
	{{0x0a000000, 0x0abfffff}, {0x0ac00000, 0x0affffff}},
	{{0xac100000, 0xac1bffff}, {0xac1c0000, 0xac1fffff}},
	{{0xc0a80000, 0xc0a8bfff}, {0xc0a8c000, 0xc0a8ffff}},
};

/* The input of one choice. */
struct choice {
	struct lease_book *book;
	const struct net_lease_request *request;
	struct net_lease *lease; /* of the book */
	struct net_prefix local;
	struct range *taken; /* of the family at hand */
	size_t taken_count;
};

/* What differs between the families. */
struct family {
	int family;
	size_t subnet_offset; /* in struct net_lease */
};

static const struct family family4 = {AF_INET, offsetof(struct net_lease, subnet4)};
static const struct family family6 = {AF_INET6, offsetof(struct net_lease, subnet6)};

static struct net_prefix *subnet_of(struct net_lease *lease, const struct family *family)
{
	return (struct net_prefix *)(void *)((char *)lease + family->subnet_offset);
}

static bool has_subnet(const struct net_prefix *subnet)
{
	return net_address_is_set(&subnet->address);
}

static uint64_t number_of(const struct net_address *address)
{
	uint64_t upper;

	if (address->family == AF_INET)
		return be32toh(address->v4.s_addr);
	memcpy(&upper, address->bytes, sizeof(upper));
	return be64toh(upper);
}

static struct net_prefix prefix_of(int family, uint64_t number, uint8_t length)
{
	struct net_prefix prefix = {.address.family = family, .length = length};

	if (family == AF_INET) {
		prefix.address.v4.s_addr = htobe32((uint32_t)number);
	} else {
		number = htobe64(number);
		memcpy(prefix.address.bytes, &number, sizeof(number));
	}
	return prefix;
}

static struct range range_of(const struct net_prefix *prefix)
{
	unsigned bits = prefix->address.family == AF_INET ? 32 : 64;
	unsigned host_bits = prefix->length < bits ? bits - prefix->length : 0;
	uint64_t mask = host_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << host_bits) - 1;
	uint64_t number = number_of(&prefix->address);

	return (struct range){number & ~mask, number | mask};
}

static const struct range *find_overlap(const struct choice *choice, const struct range *range)
{
	for (size_t i = 0; i < choice->taken_count; i++)
		if (choice->taken[i].first <= range->last && range->first <= choice->taken[i].last)
			return &choice->taken[i];
	return NULL;
}

static bool is_free(const struct choice *choice, const struct net_prefix *subnet)
{
	struct range range = range_of(subnet);

	return !find_overlap(choice, &range);
}

static bool is_mate(const struct choice *choice, const struct net_lease *lease)
{
	return lease == choice->lease ||
	       (lease->zone[0] && streq(lease->zone, choice->lease->zone));
}

/* What the host uses, and the subnets of other leases. A default route occupies nothing. */
static int collect_taken(struct choice *choice, const struct family *family)
{
	const struct net_lease_request *request = choice->request;
	size_t max = request->in_use_count + choice->book->count;
	struct range *taken = reallocarray(choice->taken, max + 1, sizeof(*taken));

	if (!taken)
		return -ENOMEM;
	choice->taken = taken;
	choice->taken_count = 0;
	for (size_t i = 0; i < request->in_use_count; i++)
		if (request->in_use[i].address.family == family->family &&
		    request->in_use[i].length > 0)
			taken[choice->taken_count++] = range_of(&request->in_use[i]);
	for (size_t i = 0; i < choice->book->count; i++) {
		struct net_lease *lease = &choice->book->list[i];

		if (!is_mate(choice, lease) && has_subnet(subnet_of(lease, family)))
			taken[choice->taken_count++] = range_of(subnet_of(lease, family));
	}
	return 0;
}

/* The host, what is hashed for (a link, a zone, a place in a zone), and a name. */
static uint64_t hash_of(const char *host_id, char kind, const char *name)
{
	static const uint8_t key[16] = {0x5e, 0x1c, 0x83, 0x0f, 0xd2, 0x47, 0xb9, 0x66,
					0x90, 0x2b, 0xe4, 0x7d, 0x18, 0xaa, 0x31, 0xc5};
	char data[128];
	int size = snprintf(data, sizeof(data), "%.32s %c %.64s", host_id, kind, name);

	return hash_siphash24(data, (size_t)size, key);
}

static uint64_t hash_of_place(const struct choice *choice)
{
	const struct net_lease *lease = choice->lease;

	return lease->zone[0] ? hash_of(choice->request->host_id, 'z', lease->zone)
			      : hash_of(choice->request->host_id, 'l', lease->machine);
}

/* Searches from the hash around the pool; steps over each used range at once. */
static bool search_pool(const struct choice *choice, const struct range *pool, uint64_t size,
			uint64_t *ret)
{
	uint64_t count = (pool->last - pool->first) / size + 1;
	uint64_t i = hash_of_place(choice) % count;

	for (uint64_t tried = 0; tried < count;) {
		uint64_t first = pool->first + i * size, next;
		struct range range = {first, first + size - 1};
		const struct range *blocker = find_overlap(choice, &range);

		if (!blocker) {
			*ret = first;
			return true;
		}
		next = blocker->last >= pool->last ? count
						   : (blocker->last - pool->first) / size + 1;
		tried += next - i;
		i = next % count;
	}
	return false;
}

static struct net_prefix search4(const struct choice *choice)
{
	bool is_zone = choice->lease->zone[0];
	uint64_t number;

	for (size_t i = 0; i < ARRAY_SIZE(pools4); i++)
		if (search_pool(choice, is_zone ? &pools4[i].zones : &pools4[i].links,
				is_zone ? 256 : 16, &number))
			return prefix_of(AF_INET, number, is_zone ? 24 : 28);
	return (struct net_prefix){};
}

static struct net_prefix search6(const struct choice *choice)
{
	struct range pool = range_of(&choice->local);
	uint64_t number;

	if (search_pool(choice, &pool, 1, &number))
		return prefix_of(AF_INET6, number, 64);
	return (struct net_prefix){};
}

/*
 * The kept subnet: of the lease, or of its zone. The first of a zone that fits counts for all, so
 * that every machine of it comes to the same.
 */
static struct net_prefix kept_subnet(const struct choice *choice, const struct family *family)
{
	for (size_t i = 0; i < choice->book->count; i++) {
		struct net_lease *lease = &choice->book->list[i];
		struct net_prefix *subnet = subnet_of(lease, family);

		if (is_mate(choice, lease) && has_subnet(subnet) && is_free(choice, subnet))
			return *subnet;
	}
	return (struct net_prefix){};
}

/* A zone has one subnet. Those that were given another one take this at their next start. */
static void move_zone(struct choice *choice, const struct family *family,
		      const struct net_prefix *subnet)
{
	for (size_t i = 0; i < choice->book->count; i++) {
		struct net_lease *lease = &choice->book->list[i];
		struct net_prefix *other = subnet_of(lease, family);

		if (!is_mate(choice, lease) || !has_subnet(other) ||
		    net_address_equal(&other->address, &subnet->address))
			continue;
		*other = (struct net_prefix){};
		choice->book->is_changed = true;
	}
}

static int choose_subnet(struct choice *choice, const struct family *family,
			 struct net_prefix (*search)(const struct choice *choice))
{
	struct net_prefix subnet;
	int r = collect_taken(choice, family);

	if (r < 0)
		return r;
	subnet = kept_subnet(choice, family);
	if (!has_subnet(&subnet))
		subnet = search(choice);
	move_zone(choice, family, &subnet);
	*subnet_of(choice->lease, family) = subnet;
	return 0;
}

static bool is_given(const struct choice *choice, const struct net_address *guest)
{
	for (size_t i = 0; i < choice->book->count; i++) {
		const struct net_lease *lease = &choice->book->list[i];

		if (lease != choice->lease && has_subnet(&lease->subnet4) &&
		    net_address_equal(&lease->guest4, guest))
			return true;
	}
	return false;
}

static bool can_keep(const struct choice *choice, const struct net_address *guest)
{
	const struct net_prefix *subnet = &choice->lease->subnet4;
	uint64_t number;

	if (!net_address_is_set(guest) || !net_prefix_contains(subnet, guest))
		return false;
	number = number_of(guest) & 0xff;
	return number >= ZONE_FIRST && number < ZONE_FIRST + ZONE_COUNT && !is_given(choice, guest);
}

static int choose_guest4(const struct choice *choice)
{
	struct net_lease *lease = choice->lease;
	uint64_t hash = hash_of(choice->request->host_id, 'm', lease->machine);

	lease->host4 = net_prefix_address(&lease->subnet4, 1);
	if (!lease->zone[0]) {
		lease->guest4 = net_prefix_address(&lease->subnet4, 2);
		return 0;
	}
	if (can_keep(choice, &lease->guest4))
		return 0;
	for (uint32_t i = 0; i < ZONE_COUNT; i++) {
		uint32_t number = ZONE_FIRST + (uint32_t)((hash + i) % ZONE_COUNT);

		lease->guest4 = net_prefix_address(&lease->subnet4, number);
		if (!is_given(choice, &lease->guest4))
			return 0;
	}
	return -EADDRNOTAVAIL;
}

/* RFC 4291, appendix A. */
static void choose_guest6(struct net_lease *lease, const uint8_t mac[ETH_ALEN])
{
	uint8_t *low;

	lease->host6 = net_prefix_address(&lease->subnet6, 1);
	lease->guest6 = lease->subnet6.address;
	low = lease->guest6.bytes + 8;
	memcpy(low, mac, 3);
	low[0] ^= 0x02;
	low[3] = 0xff;
	low[4] = 0xfe;
	memcpy(low + 5, mac + 3, 3);
}

static int choose_addresses(struct choice *choice)
{
	struct net_lease *lease = choice->lease;
	int r = choose_subnet(choice, &family4, search4);

	if (r == 0)
		r = choose_subnet(choice, &family6, search6);
	if (r < 0)
		return r;
	if (!has_subnet(&lease->subnet4) && !has_subnet(&lease->subnet6))
		return -EADDRNOTAVAIL;
	if (has_subnet(&lease->subnet4))
		r = choose_guest4(choice);
	else
		lease->host4 = lease->guest4 = (struct net_address){};
	if (has_subnet(&lease->subnet6))
		choose_guest6(lease, choice->request->guest_mac);
	else
		lease->host6 = lease->guest6 = (struct net_address){};
	return r;
}

/* RFC 4193, section 3.2: what makes it unique is the host's id, else chance, kept in the file. */
static int find_local_prefix(struct choice *choice)
{
	struct lease_book *book = choice->book;
	uint64_t hash = hash_of(choice->request->host_id, 'h', "");

	choice->local = book->local;
	if (!*choice->request->host_id && has_subnet(&book->local))
		return 0;
	if (!*choice->request->host_id && getrandom(&hash, sizeof(hash), 0) != sizeof(hash))
		return -EIO;
	choice->local = prefix_of(AF_INET6, UINT64_C(0xfd) << 56 | (hash & 0xffffffffff) << 16, 48);
	if (*choice->request->host_id)
		return 0;
	book->local = choice->local;
	book->is_changed = true;
	return 0;
}

static bool is_of_zone(const struct net_lease *lease, const char *zone)
{
	return streq(lease->zone, zone ? zone : "");
}

static bool request_is_valid(const struct net_lease_request *request)
{
	const char *zone = request->zone;
	size_t length = strlen(request->machine);

	if (length == 0 || length >= sizeof((struct net_lease){}.machine) ||
	    strpbrk(request->machine, " \t\n\r\v\f/"))
		return false;
	return !zone || (*zone && strlen(zone) < sizeof((struct net_lease){}.zone) &&
			 !strpbrk(zone, " \t\n\r\v\f/"));
}

static int pick(struct choice *choice, uint64_t now_us)
{
	const struct net_lease_request *request = choice->request;
	struct net_lease *lease = lease_book_find(choice->book, request->machine);
	struct net_lease old = {};
	int r;

	if (lease && !is_of_zone(lease, request->zone)) {
		lease_book_remove(choice->book, lease);
		lease = NULL;
	}
	if (!lease)
		lease = lease_book_add(choice->book, request->machine);
	if (!lease)
		return -ENOMEM;
	old = *lease;
	if (request->zone)
		strcpy(lease->zone, request->zone);
	choice->lease = lease;
	r = find_local_prefix(choice);
	if (r == 0)
		r = choose_addresses(choice);
	if (r < 0)
		return r;
	/* The time alone is worth a write once a day; a clock that was set back counts, too. */
	if (!lease_is_same(&old, lease) || now_us - lease->used_us >= US_PER_DAY) {
		lease->used_us = now_us;
		choice->book->is_changed = true;
	}
	return 0;
}

int lease_pick(struct lease_book *book, const struct net_lease_request *request, uint64_t now_us,
	       struct net_lease *ret)
{
	struct choice choice = {.book = book, .request = request};
	int r = request_is_valid(request) ? pick(&choice, now_us) : -EINVAL;

	free(choice.taken);
	if (r == 0)
		*ret = *choice.lease;
	return r;
}
