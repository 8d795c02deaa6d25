/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of leases and its text. A line that is no valid lease is dropped: a broken file must not
 * prevent a start. Pure.
 */
#include "net/lease_book.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/parse.h"

#define HEAD "redd-leases 1"
#define WORDS 7

void lease_book_done(struct lease_book *book)
{
	free(book->list);
	*book = (struct lease_book){};
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct net_lease *)a)->machine,
		      ((const struct net_lease *)b)->machine);
}

struct net_lease *lease_book_find(const struct lease_book *book, const char *machine)
{
	size_t low = 0, high = book->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(machine, book->list[middle].machine);

		if (order == 0)
			return &book->list[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool lease_is_same(const struct net_lease *a, const struct net_lease *b)
{
	return net_address_equal(&a->subnet4.address, &b->subnet4.address) &&
	       net_address_equal(&a->guest4, &b->guest4) &&
	       net_address_equal(&a->subnet6.address, &b->subnet6.address) &&
	       net_address_equal(&a->guest6, &b->guest6);
}

static bool make_room(struct lease_book *book)
{
	size_t capacity = book->capacity ? 2 * book->capacity : 32;
	struct net_lease *list;

	if (book->count < book->capacity)
		return true;
	list = reallocarray(book->list, capacity, sizeof(*list));
	if (!list)
		return false;
	book->list = list;
	book->capacity = capacity;
	return true;
}

void lease_book_remove(struct lease_book *book, struct net_lease *lease)
{
	size_t behind = book->count - (size_t)(lease - book->list) - 1;

	memmove(lease, lease + 1, behind * sizeof(*lease));
	book->count--;
	book->is_changed = true;
}

static void remove_oldest(struct lease_book *book)
{
	struct net_lease *oldest = book->list;

	for (size_t i = 1; i < book->count; i++)
		if (book->list[i].used_us < oldest->used_us)
			oldest = &book->list[i];
	lease_book_remove(book, oldest);
}

struct net_lease *lease_book_add(struct lease_book *book, const char *machine)
{
	struct net_lease *lease;
	size_t at = 0;

	while (book->count >= LEASES_MAX)
		remove_oldest(book);
	if (!make_room(book))
		return NULL;
	while (at < book->count && strcmp(book->list[at].machine, machine) < 0)
		at++;
	lease = &book->list[at];
	memmove(lease + 1, lease, (book->count - at) * sizeof(*lease));
	*lease = (struct net_lease){};
	strcpy(lease->machine, machine);
	book->count++;
	book->is_changed = true;
	return lease;
}

static bool is_word(const char *text, size_t max)
{
	size_t length = 0;

	for (; text[length]; length++)
		if (!isgraph((unsigned char)text[length]) || text[length] == '/')
			return false;
	return length > 0 && length <= max;
}

static int take_place(const char *word, struct net_lease *lease)
{
	const char *zone = str_after_prefix(word, "zone=");

	if (streq(word, "link"))
		return 0;
	if (!zone || !is_word(zone, sizeof(lease->zone) - 1))
		return -EINVAL;
	strcpy(lease->zone, zone);
	return 0;
}

/* A subnet and an address in it, or two dashes. */
static int take_family(char *const words[2], int family, uint8_t length, struct net_prefix *subnet,
		       struct net_address *host, struct net_address *guest)
{
	struct net_prefix given;

	if (streq(words[0], "-") && streq(words[1], "-"))
		return 0;
	if (net_prefix_parse(words[0], &given) < 0 || given.address.family != family ||
	    given.length != length || net_address_parse(words[1], guest) < 0 ||
	    !net_prefix_contains(&given, guest))
		return -EINVAL;
	*subnet = net_prefix_network(&given);
	*host = net_prefix_address(subnet, 1);
	return net_address_equal(host, guest) || net_address_equal(&subnet->address, guest)
		       ? -EINVAL
		       : 0;
}

static int parse_line(char *line, struct net_lease *ret)
{
	struct net_lease lease = {};
	char *words[WORDS], *rest = NULL;
	int r;

	for (int i = 0; i < WORDS; i++) {
		words[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!words[i])
			return -EINVAL;
	}
	if (*rest || !is_word(words[0], sizeof(lease.machine) - 1))
		return -EINVAL;
	strcpy(lease.machine, words[0]);
	r = take_place(words[1], &lease);
	if (r == 0)
		r = take_family(words + 2, AF_INET, lease.zone[0] ? 24 : 28, &lease.subnet4,
				&lease.host4, &lease.guest4);
	if (r == 0)
		r = take_family(words + 4, AF_INET6, 64, &lease.subnet6, &lease.host6,
				&lease.guest6);
	if (r < 0 || parse_u64(words[6], &lease.used_us) < 0)
		return -EINVAL;
	*ret = lease;
	return 0;
}

static void take_head(const char *line, struct lease_book *book)
{
	const char *prefix = str_after_prefix(line, HEAD " ");

	if (prefix && (net_prefix_parse(prefix, &book->local) < 0 || book->local.length != 48 ||
		       book->local.address.bytes[0] != 0xfd))
		book->local = (struct net_prefix){};
}

/* The file is written in order; somebody else's is put in order, and of two the first counts. */
static void put_in_order(struct lease_book *book)
{
	size_t kept = 0;
	bool is_sorted = true;

	for (size_t i = 1; i < book->count && is_sorted; i++)
		is_sorted = compare(&book->list[i - 1], &book->list[i]) < 0;
	if (is_sorted)
		return;
	qsort(book->list, book->count, sizeof(*book->list), compare);
	for (size_t i = 0; i < book->count; i++)
		if (kept == 0 || compare(&book->list[kept - 1], &book->list[i]) != 0)
			book->list[kept++] = book->list[i];
	book->count = kept;
	book->is_changed = true;
}

int lease_book_parse(char *text, struct lease_book *ret)
{
	autobook struct lease_book book = {};
	char *rest = NULL;
	char *line = strtok_r(text, "\n", &rest);

	/* Another version's lines may mean something else. */
	if (line && !streq(line, HEAD) && !str_after_prefix(line, HEAD " "))
		line = NULL;
	if (line)
		take_head(line, &book);
	while (line && (line = strtok_r(NULL, "\n", &rest)) && book.count < LEASES_MAX) {
		if (!make_room(&book))
			return -ENOMEM;
		if (parse_line(line, &book.list[book.count]) == 0)
			book.count++;
		else
			book.is_changed = true;
	}
	put_in_order(&book);
	*ret = book;
	book = (struct lease_book){};
	return 0;
}

static void add_family(struct buf *b, const struct net_prefix *subnet,
		       const struct net_address *guest)
{
	char text[NET_ADDRESS_TEXT];

	if (!net_address_is_set(&subnet->address)) {
		buf_add_str(b, " - -");
		return;
	}
	buf_add_str(b, " ");
	buf_add_str(b, net_prefix_format(subnet, text));
	buf_add_str(b, " ");
	buf_add_str(b, net_address_format(guest, text));
}

void lease_book_format(const struct lease_book *book, struct buf *ret)
{
	char text[NET_ADDRESS_TEXT];

	buf_add_str(ret, HEAD);
	if (net_address_is_set(&book->local.address))
		buf_printf(ret, " %s", net_prefix_format(&book->local, text));
	buf_add_str(ret, "\n");
	for (size_t i = 0; i < book->count; i++) {
		const struct net_lease *lease = &book->list[i];

		buf_printf(ret, "%s %s%s", lease->machine, lease->zone[0] ? "zone=" : "link",
			   lease->zone);
		add_family(ret, &lease->subnet4, &lease->guest4);
		add_family(ret, &lease->subnet6, &lease->guest6);
		buf_printf(ret, " %llu\n", (unsigned long long)lease->used_us);
	}
}
