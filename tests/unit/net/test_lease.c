/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases: which addresses a name gets, that they are unique and stay, and how a damaged file is
 * handled. The choice is tested in memory, the file in a private /var/lib.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/io.h"
#include "lib/str.h"
#include "net/lease_book.h"

#define HOST_ID "0123456789abcdef0123456789abcdef"
#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define NOW_US (1000 * DAY_US)

static const uint8_t mac[ETH_ALEN] = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
static bool is_private;

static struct net_prefix prefix(const char *text)
{
	struct net_prefix prefix;

	assert_int_equal(net_prefix_parse(text, &prefix), 0);
	return prefix;
}

static bool overlaps(const struct net_prefix *a, const struct net_prefix *b)
{
	return net_prefix_contains(a, &b->address) || net_prefix_contains(b, &a->address);
}

static struct net_lease_request request(const char *machine, const char *zone)
{
	return (struct net_lease_request){
		.machine = machine, .zone = zone, .host_id = HOST_ID, .guest_mac = mac};
}

static struct net_lease must_pick(struct lease_book *book, const char *machine, const char *zone)
{
	struct net_lease_request r = request(machine, zone);
	struct net_lease lease;

	assert_int_equal(lease_pick(book, &r, NOW_US, &lease), 0);
	return lease;
}

static void assert_same(const struct net_lease *a, const struct net_lease *b)
{
	assert_true(net_address_equal(&a->subnet4.address, &b->subnet4.address));
	assert_true(net_address_equal(&a->guest4, &b->guest4));
	assert_true(net_address_equal(&a->subnet6.address, &b->subnet6.address));
	assert_true(net_address_equal(&a->guest6, &b->guest6));
}

static bool is_below(const struct net_prefix *subnet, const char *pool)
{
	struct net_prefix p = prefix(pool);

	return net_prefix_contains(&p, &subnet->address);
}

static void a_link_has_the_form_that_is_promised(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease lease = must_pick(&book, "web", NULL);
	struct net_address second = net_prefix_address(&lease.subnet4, 2);
	char text[NET_ADDRESS_TEXT];

	assert_string_equal(lease.machine, "web");
	assert_string_equal(lease.zone, "");
	assert_int_equal(lease.subnet4.length, 28);
	assert_true(is_below(&lease.subnet4, "10.0.0.0/8"));
	assert_true(net_address_equal(&lease.guest4, &second));
	second = net_prefix_address(&lease.subnet4, 1);
	assert_true(net_address_equal(&lease.host4, &second));
	assert_int_equal(lease.subnet6.length, 64);
	assert_int_equal(lease.subnet6.address.bytes[0], 0xfd);
	second = net_prefix_address(&lease.subnet6, 1);
	assert_true(net_address_equal(&lease.host6, &second));
	assert_true(net_prefix_contains(&lease.subnet6, &lease.guest6));
	/* RFC 4291, appendix A, done by hand */
	(void)net_address_format(&lease.guest6, text);
	assert_true(str_has_suffix(text, ":0:5eff:fe10:2030") ||
		    str_has_suffix(text, "::5eff:fe10:2030"));
	assert_true(lease.used_us == NOW_US);
}

static void the_same_everywhere_and_always(void **state)
{
	autobook struct lease_book one = {}, other = {}, elsewhere = {};
	struct net_lease_request foreign = request("web", NULL);
	struct net_lease a = must_pick(&one, "web", NULL), b = must_pick(&other, "web", NULL), c;

	assert_same(&a, &b);
	foreign.host_id = "f123456789abcdef0123456789abcdef";
	assert_int_equal(lease_pick(&elsewhere, &foreign, NOW_US, &c), 0);
	assert_false(net_address_equal(&a.subnet4.address, &c.subnet4.address));
	assert_false(net_address_equal(&a.subnet6.address, &c.subnet6.address));
}

static void a_name_keeps_its_addresses(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease first = must_pick(&book, "web", NULL), again;
	char name[32];

	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		(void)must_pick(&book, name, i % 3 ? NULL : "z");
		if (i % 2)
			lease_book_remove(&book, lease_book_find(&book, name));
	}
	again = must_pick(&book, "web", NULL);
	assert_same(&first, &again);
}

/* security row: N15 */
static void nothing_overlaps(void **state)
{
	autobook struct lease_book book = {};
	uint32_t random = 12345;
	char name[32], zone[8];

	for (int i = 0; i < 2000; i++) {
		random = random * 1103515245 + 12345;
		(void)snprintf(name, sizeof(name), "n%x", random);
		(void)snprintf(zone, sizeof(zone), "z%u", random % 40);
		(void)must_pick(&book, name, i % 4 ? NULL : zone);
	}
	assert_int_equal(book.count, 2000);
	for (size_t i = 0; i < book.count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct net_lease *a = &book.list[i], *b = &book.list[j];
			bool is_zone = a->zone[0] && streq(a->zone, b->zone);

			assert_int_equal(overlaps(&a->subnet4, &b->subnet4), is_zone);
			assert_int_equal(overlaps(&a->subnet6, &b->subnet6), is_zone);
			assert_false(net_address_equal(&a->guest4, &b->guest4));
		}
}

static void names_of_one_hash_differ(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease wanted, other, moved;

	/* The subnet that the hash selects is taken. */
	{
		autobook struct lease_book empty = {};

		wanted = must_pick(&empty, "web", NULL);
	}
	other = must_pick(&book, "squatter", NULL);
	book.list[0].subnet4 = wanted.subnet4;
	book.list[0].guest4 = wanted.guest4;
	book.list[0].subnet6 = wanted.subnet6;
	moved = must_pick(&book, "web", NULL);
	assert_false(overlaps(&moved.subnet4, &wanted.subnet4));
	assert_false(overlaps(&moved.subnet6, &wanted.subnet6));
	(void)other;
}

static void what_is_in_use_is_left_alone(void **state)
{
	static const struct {
		const char *in_use[4];
		const char *link, *zone;
	} rows[] = {
		{{"10.0.0.0/8"}, "172.16.0.0/12", "172.16.0.0/12"},
		{{"10.0.0.0/8", "172.16.0.0/12"}, "192.168.0.0/16", "192.168.0.0/16"},
		{{"10.0.0.0/8", "172.0.0.0/8", "192.168.0.0/17"},
		 "192.168.128.0/18",
		 "192.168.192.0/18"},
		{{"10.0.0.0/8", "172.0.0.0/8", "192.168.0.0/16"}, NULL, NULL},
		/* The default route overlaps everything, but must not count. */
		{{"0.0.0.0/0", "::/0"}, "10.0.0.0/8", "10.0.0.0/8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int is_zone = 0; is_zone < 2; is_zone++) {
			autobook struct lease_book book = {};
			struct net_lease_request r = request("web", is_zone ? "z" : NULL);
			const char *pool = is_zone ? rows[i].zone : rows[i].link;
			struct net_prefix in_use[4];
			struct net_lease lease;

			for (; r.in_use_count < 4 && rows[i].in_use[r.in_use_count];
			     r.in_use_count++)
				in_use[r.in_use_count] = prefix(rows[i].in_use[r.in_use_count]);
			r.in_use = in_use;
			assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
			assert_true(net_address_is_set(&lease.guest6));
			assert_int_equal(net_address_is_set(&lease.subnet4.address), pool != NULL);
			if (pool)
				assert_true(is_below(&lease.subnet4, pool));
			for (size_t k = 0; k < r.in_use_count && in_use[k].length > 0; k++)
				assert_false(overlaps(&in_use[k], &lease.subnet4));
		}
}

static void the_last_free_subnet_is_found(void **state)
{
	/* Everything except 192.168.77.32/28: one prefix for each power of two around it. */
	static const char *const around[] = {
		"192.168.128.0/17",  "192.168.0.0/18",	 "192.168.96.0/19", "192.168.80.0/20",
		"192.168.64.0/21",   "192.168.72.0/22",	 "192.168.78.0/23", "192.168.76.0/24",
		"192.168.77.128/25", "192.168.77.64/26", "192.168.77.0/27", "192.168.77.48/28",
		"10.0.0.0/8",	     "172.16.0.0/12",
	};
	autobook struct lease_book book = {};
	struct net_lease_request r = request("web", NULL);
	struct net_prefix in_use[ARRAY_SIZE(around)];
	struct net_lease lease;
	char text[NET_ADDRESS_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(around); i++)
		in_use[i] = prefix(around[i]);
	r.in_use = in_use;
	r.in_use_count = ARRAY_SIZE(around);
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
	assert_string_equal(net_prefix_format(&lease.subnet4, text), "192.168.77.32/28");
	/* A second machine gets no IPv4 subnet, only IPv6. */
	r.machine = "db";
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
	assert_false(net_address_is_set(&lease.guest4));
	assert_true(net_address_is_set(&lease.guest6));
}

static void no_range_at_all(void **state)
{
	autobook struct lease_book book = {};
	struct net_prefix in_use[] = {prefix("10.0.0.0/8"), prefix("172.16.0.0/12"),
				      prefix("192.168.0.0/16"), prefix("fc00::/7")};
	struct net_lease_request r = request("web", NULL);
	struct net_lease lease;

	r.in_use = in_use;
	r.in_use_count = ARRAY_SIZE(in_use);
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), -EADDRNOTAVAIL);
}

static void a_kept_lease_that_overlaps_now_is_replaced(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease before = must_pick(&book, "web", NULL), after;
	struct net_lease_request r = request("web", NULL);

	r.in_use = &before.subnet4;
	r.in_use_count = 1;
	assert_int_equal(lease_pick(&book, &r, NOW_US, &after), 0);
	assert_false(overlaps(&before.subnet4, &after.subnet4));
	assert_true(net_address_equal(&before.guest6, &after.guest6));
	assert_int_equal(book.count, 1);
}

static void machines_of_a_zone_share_it(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease a = must_pick(&book, "a", "shop"), b = must_pick(&book, "b", "shop"),
			 c = must_pick(&book, "c", "other");

	assert_string_equal(a.zone, "shop");
	assert_int_equal(a.subnet4.length, 24);
	assert_true(net_address_equal(&a.subnet4.address, &b.subnet4.address));
	assert_true(net_address_equal(&a.subnet6.address, &b.subnet6.address));
	assert_true(net_address_equal(&a.host4, &b.host4));
	assert_false(net_address_equal(&a.guest4, &b.guest4));
	assert_false(overlaps(&a.subnet4, &c.subnet4));
	/* A machine that changes its zone has one lease, there. */
	a = must_pick(&book, "a", "other");
	assert_true(net_address_equal(&a.subnet4.address, &c.subnet4.address));
	a = must_pick(&book, "a", NULL);
	assert_int_equal(a.subnet4.length, 28);
	assert_int_equal(book.count, 3);
}

static void a_zone_that_overlaps_moves_as_a_whole(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease a = must_pick(&book, "a", "shop"), b = must_pick(&book, "b", "shop"), c;
	struct net_lease_request r = request("b", "shop");

	r.in_use = &a.subnet4;
	r.in_use_count = 1;
	assert_int_equal(lease_pick(&book, &r, NOW_US, &b), 0);
	assert_false(overlaps(&a.subnet4, &b.subnet4));
	/* Also when what was in the way is gone by then. */
	c = must_pick(&book, "a", "shop");
	assert_true(net_address_equal(&b.subnet4.address, &c.subnet4.address));
	assert_false(net_address_equal(&b.guest4, &c.guest4));
}

static void a_zone_can_be_full(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease_request r = request("one-too-many", "z");
	bool is_seen[256] = {};
	struct net_lease lease;
	char name[32];

	for (int i = 0; i < 253; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		lease = must_pick(&book, name, "z");
		assert_false(is_seen[lease.guest4.bytes[3]]);
		is_seen[lease.guest4.bytes[3]] = true;
	}
	assert_false(is_seen[0] || is_seen[1] || is_seen[255]);
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), -EADDRNOTAVAIL);
	lease_book_remove(&book, lease_book_find(&book, "one-too-many"));
	lease_book_remove(&book, lease_book_find(&book, "m7"));
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
}

static void a_host_without_an_id_keeps_its_prefix(void **state)
{
	autobook struct lease_book book = {}, other = {};
	struct net_lease_request r = request("web", NULL);
	struct net_lease a, b;

	r.host_id = "";
	assert_int_equal(lease_pick(&book, &r, NOW_US, &a), 0);
	assert_int_equal(book.local.length, 48);
	assert_true(net_prefix_contains(&book.local, &a.guest6));
	r.machine = "db";
	assert_int_equal(lease_pick(&book, &r, NOW_US, &b), 0);
	assert_true(net_prefix_contains(&book.local, &b.guest6));
	assert_int_equal(lease_pick(&other, &r, NOW_US, &a), 0);
	assert_false(net_prefix_contains(&book.local, &a.guest6));
}

static void only_what_counts_is_written(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease_request r = request("web", NULL);
	struct net_lease lease = must_pick(&book, "web", NULL);
	uint8_t other_mac[ETH_ALEN] = {2};

	book.is_changed = false;
	assert_int_equal(lease_pick(&book, &r, NOW_US + DAY_US - 1, &lease), 0);
	assert_false(book.is_changed);
	assert_int_equal(lease_pick(&book, &r, NOW_US + DAY_US, &lease), 0);
	assert_true(book.is_changed);
	assert_true(lease.used_us == NOW_US + DAY_US);
	book.is_changed = false;
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
	assert_true(book.is_changed && lease.used_us == NOW_US);
	book.is_changed = false;
	r.guest_mac = other_mac;
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
	assert_true(book.is_changed);
}

static void the_oldest_goes(void **state)
{
	autobook struct lease_book book = {};
	struct net_lease_request r = request("new", NULL);
	struct net_lease lease;
	char name[32];

	for (int i = 0; i < LEASES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		assert_non_null(lease_book_add(&book, name));
		lease_book_find(&book, name)->used_us = i == 77 ? 1 : 1000;
	}
	assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), 0);
	assert_int_equal(book.count, LEASES_MAX);
	assert_null(lease_book_find(&book, "m77"));
	assert_non_null(lease_book_find(&book, "m76"));
	assert_non_null(lease_book_find(&book, "new"));
}

static void names_that_no_line_can_hold(void **state)
{
	static const char *const bad[] = {
		"", "a b", "a/b", "a\nb",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};
	autobook struct lease_book book = {};
	struct net_lease lease;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net_lease_request r = request(bad[i], NULL);

		assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), -EINVAL);
		r = request("web", bad[i]);
		assert_int_equal(lease_pick(&book, &r, NOW_US, &lease), -EINVAL);
	}
	assert_int_equal(book.count, 0);
}

static void text_goes_in_and_out(void **state)
{
	autobook struct lease_book book = {}, read = {};
	struct net_lease_request r = request("no4", NULL);
	struct net_prefix in_use[] = {prefix("10.0.0.0/8"), prefix("172.16.0.0/12"),
				      prefix("192.168.0.0/16")};
	autobuf struct buf first = {}, second = {};
	autofree char *copy = NULL;
	struct net_lease lease;

	(void)must_pick(&book, "web", NULL);
	(void)must_pick(&book, "a.b-c", "-");
	(void)must_pick(&book, "zz", "link");
	r.in_use = in_use;
	r.in_use_count = ARRAY_SIZE(in_use);
	r.host_id = "";
	assert_int_equal(lease_pick(&book, &r, UINT64_MAX, &lease), 0);
	lease_book_format(&book, &first);
	copy = strdup(first.data);
	assert_int_equal(lease_book_parse(copy, &read), 0);
	assert_int_equal(read.count, 4);
	assert_false(read.is_changed);
	lease_book_format(&read, &second);
	assert_string_equal(first.data, second.data);
}

static void garbage_is_dropped(void **state)
{
	static const char *const bad[] = {
		"",
		"web",
		"web link",
		"web link 10.0.0.0/28 10.0.0.2 - - x",
		"web link 10.0.0.0/28 10.0.0.2 - -",
		"web link 10.0.0.0/28 10.0.0.2 - - 1 2",
		"web link 10.0.0.0/24 10.0.0.2 - - 1",
		"web zone=z 10.0.0.0/28 10.0.0.2 - - 1",
		"web zone= 10.0.0.0/24 10.0.0.2 - - 1",
		"web zone=0123456789abc 10.0.0.0/24 10.0.0.2 - - 1",
		"web link 10.0.0.0/28 10.0.0.16 - - 1",
		"web link 10.0.0.0/28 10.0.0.1 - - 1",
		"web link 10.0.0.0/28 10.0.0.0 - - 1",
		"web link fd00::/64 fd00::2 - - 1",
		"web link 10.0.0.0/28 - - - 1",
		"web link - - fd00::/48 fd00::2 1",
		"we/b link 10.0.0.0/28 10.0.0.2 - - 1",
		"\xff\xfe link 10.0.0.0/28 10.0.0.2 - - 1",
		"01234567890123456789012345678901234567890123456789012345678901234 link - - - - 1",
	};
	autobuf struct buf b = {};
	autobook struct lease_book book = {};
	autofree char *other = strdup("redd-leases 2\nweb link 10.0.0.0/28 10.0.0.2 - - 1\n");

	buf_add_str(&b, "redd-leases 1 2001:db8::/48\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		buf_printf(&b, "%s\n", bad[i]);
	buf_add_str(&b, "zz link 10.0.0.16/28 10.0.0.18 - - 1\n"
			"good link 10.0.0.32/28 10.0.0.34 - - 1\n"
			"good link 10.0.0.48/28 10.0.0.50 - - 1\ncut off lin");
	assert_int_equal(lease_book_parse(b.data, &book), 0);
	assert_int_equal(book.count, 2);
	assert_non_null(lease_book_find(&book, "good"));
	assert_non_null(lease_book_find(&book, "zz"));
	assert_false(net_address_is_set(&book.local.address));
	lease_book_done(&book);
	assert_int_equal(lease_book_parse(other, &book), 0);
	assert_int_equal(book.count, 0);
}

/* The file */

static int enter_private(void **state)
{
	is_private = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		     mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755") == 0;
	return 0;
}

static void need_private(void)
{
	if (!is_private)
		skip();
	(void)fs_remove_tree_at(AT_FDCWD, "/var/lib/redd");
}

static void write_leases(const char *text)
{
	assert_int_equal(fs_make_dirs("/var/lib/redd/network", 0755), 0);
	assert_int_equal(io_replace_file_at(AT_FDCWD, NET_LEASE_FILE, text, 0644, false), 0);
}

static void the_file_keeps_them(void **state)
{
	struct net_lease_request r = request("web", NULL);
	struct net_lease lease, again, *list = NULL;
	struct stat before, after;
	size_t count = 7;

	need_private();
	assert_int_equal(net_lease_list(&list, &count), 0);
	assert_int_equal(count, 0);
	r.only_look = true;
	assert_int_equal(net_lease_take(&r, &again), 0);
	assert_int_equal(access("/var/lib/redd", F_OK), -1);
	r.only_look = false;
	assert_int_equal(net_lease_take(&r, &lease), 0);
	assert_same(&lease, &again);
	assert_int_equal(stat(NET_LEASE_FILE, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0644);
	assert_int_equal(net_lease_take(&r, &again), 0);
	assert_int_equal(stat(NET_LEASE_FILE, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	assert_int_equal(net_lease_list(&list, &count), 0);
	assert_int_equal(count, 1);
	assert_same(&lease, &list[0]);
	free(list);
	assert_int_equal(net_lease_forget("nobody"), 0);
	assert_int_equal(net_lease_forget("web"), 0);
	assert_int_equal(net_lease_forget("web"), 0);
	assert_int_equal(net_lease_list(&list, &count), 0);
	assert_int_equal(count, 0);
	free(list);
}

static void a_broken_file_stops_nobody(void **state)
{
	static const char *const texts[] = {"", "\n", "redd-leases 1", "\177ELF\1\2\3",
					    "redd-leases 1\n\n\nweb web web\n"};
	struct net_lease_request r = request("web", NULL);
	struct net_lease lease;

	need_private();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		write_leases(texts[i]);
		assert_int_equal(net_lease_take(&r, &lease), 0);
	}
	/* Larger than any file that redd writes. */
	assert_int_equal(truncate(NET_LEASE_FILE, LEASE_FILE_MAX + 1), 0);
	assert_int_equal(net_lease_take(&r, &lease), 0);
	assert_int_equal(unlink(NET_LEASE_FILE), 0);
	assert_int_equal(mkfifo(NET_LEASE_FILE, 0600), 0);
	assert_int_equal(net_lease_take(&r, &lease), 0);
}

/* If the date of use can't be written, the start goes on. */
static void a_full_disk_keeps_nobody_from_what_he_has(void **state)
{
	struct net_lease_request r = request("web", NULL), other = request("new", NULL);
	struct net_lease lease, again;
	autofree char *text = NULL;
	char *end;

	need_private();
	assert_int_equal(fs_make_dirs("/var/lib/redd/network", 0755), 0);
	assert_int_equal(mount("tmpfs", "/var/lib/redd/network", "tmpfs", 0, "size=64k"), 0);
	assert_int_equal(net_lease_take(&r, &lease), 0);
	assert_int_equal(io_read_file_at(AT_FDCWD, NET_LEASE_FILE, LEASE_FILE_MAX, &text, NULL), 0);
	end = strrchr(text, ' ');
	strcpy(end, " 1\n");
	write_leases(text);
	assert_int_equal(system("head -c 64k /dev/zero >/var/lib/redd/network/full 2>&1"), 256);
	assert_int_equal(net_lease_take(&r, &again), 0);
	assert_same(&lease, &again);
	assert_int_equal(net_lease_take(&other, &again), -ENOSPC);
	assert_int_equal(umount("/var/lib/redd/network"), 0);
}

static int take_many(int child, int count)
{
	char name[16];
	struct net_lease_request r = request(name, child % 2 ? "z" : NULL);
	struct net_lease lease;

	for (int i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "m%d-%d", child, i);
		if (net_lease_take(&r, &lease) < 0)
			return 1;
	}
	return 0;
}

/* security row: N15 */
/* All use one file and one lock at once: a pipe holds the children until the last is there. */
static void many_at_the_same_instant(void **state)
{
	enum { CHILDREN = 20, EACH = 20 };
	struct net_lease *list;
	size_t count;
	int gate[2];

	need_private();
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			char byte;

			(void)close(gate[1]);
			(void)!read(gate[0], &byte, 1);
			_exit(take_many(i, EACH));
		}
		assert_true(pid > 0);
	}
	(void)close(gate[0]);
	(void)close(gate[1]);
	for (int i = 0; i < CHILDREN; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(net_lease_list(&list, &count), 0);
	assert_int_equal(count, CHILDREN * EACH);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(net_address_equal(&list[i].guest4, &list[j].guest4));
	free(list);
}

static bool has(const struct net_lease *lease, const char *zone, const char *text)
{
	struct net_address address;

	assert_int_equal(net_address_parse(text, &address), 0);
	return net_lease_has(lease, zone, &address);
}

static void what_is_given_is_known(void **state)
{
	struct net_lease lease = {
		.zone = "lab",
		.subnet4 = prefix("10.200.0.0/24"),
		.host4 = {.family = AF_INET, .bytes = {10, 200, 0, 1}},
		.guest4 = {.family = AF_INET, .bytes = {10, 200, 0, 7}},
	};

	assert_true(has(&lease, NULL, "10.200.0.9"));
	assert_true(has(&lease, "other", "10.200.0.9"));
	assert_false(has(&lease, NULL, "10.200.1.9"));
	assert_false(has(&lease, NULL, "::"));
	assert_false(has(&lease, "lab", "10.200.0.9"));
	assert_true(has(&lease, "lab", "10.200.0.7"));
	assert_true(has(&lease, "lab", "10.200.0.1"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_has_the_form_that_is_promised),
		cmocka_unit_test(the_same_everywhere_and_always),
		cmocka_unit_test(a_name_keeps_its_addresses),
		cmocka_unit_test(nothing_overlaps),
		cmocka_unit_test(names_of_one_hash_differ),
		cmocka_unit_test(what_is_in_use_is_left_alone),
		cmocka_unit_test(the_last_free_subnet_is_found),
		cmocka_unit_test(no_range_at_all),
		cmocka_unit_test(a_kept_lease_that_overlaps_now_is_replaced),
		cmocka_unit_test(machines_of_a_zone_share_it),
		cmocka_unit_test(a_zone_that_overlaps_moves_as_a_whole),
		cmocka_unit_test(a_zone_can_be_full),
		cmocka_unit_test(a_host_without_an_id_keeps_its_prefix),
		cmocka_unit_test(only_what_counts_is_written),
		cmocka_unit_test(the_oldest_goes),
		cmocka_unit_test(names_that_no_line_can_hold),
		cmocka_unit_test(text_goes_in_and_out),
		cmocka_unit_test(garbage_is_dropped),
		cmocka_unit_test(the_file_keeps_them),
		cmocka_unit_test(a_broken_file_stops_nobody),
		cmocka_unit_test(a_full_disk_keeps_nobody_from_what_he_has),
		cmocka_unit_test(many_at_the_same_instant),
		cmocka_unit_test(what_is_given_is_known),
	};

	return cmocka_run_group_tests_name("net/lease", tests, enter_private, NULL);
}
