/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lets the host forward between machines and the world, interface by interface: a packet is
 * forwarded when the interface it comes in by says so. On the machine's own link that ends with the
 * link. On the host's interfaces, where the answers and forwarded ports come in, what we change is
 * written down with the machines that need it, and changed back when the last of them has ended:
 *
 *     4 eth0                          IPv4 forwarding of eth0 was off
 *     6 eth0/force_forwarding 0 1     so was this, below /proc/sys/net/ipv6/conf
 *     by NAME
 *
 * IPv6: force_forwarding (Linux 6.17), else all/forwarding, which would make the host deaf to the
 * advertisements of its own routers but for accept_ra=2. Must never change what is right already.
 * Supervisor's side. Source: Documentation/networking/ip-sysctl.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ip.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/network/network.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

#define RECORD "forwarding"
#define RECORD_MAX (256 * 1024)
#define CONF6 "/proc/sys/net/ipv6/conf/"

struct record {
	char **changes; /* "4 eth0", "6 PATH OLD NEW" */
	char **machines;
};

static void record_done(struct record *record)
{
	(void)strv_free(record->changes);
	(void)strv_free(record->machines);
}

static int record_read(int dir, struct record *ret)
{
	autofree char *text = NULL;
	autostrv char **lines = NULL;
	int r = io_read_file_at(dir, RECORD, RECORD_MAX, &text, NULL);

	if (r >= 0)
		r = strv_split(text, "\n", &lines);
	for (size_t i = 0; r >= 0 && lines && lines[i]; i++) {
		const char *machine = str_after_prefix(lines[i], "by ");

		if (!machine)
			r = strv_add(&ret->changes, lines[i]);
		else if (network_is_alive(machine))
			r = strv_add(&ret->machines, machine);
	}
	return r == -ENOENT ? 0 : r;
}

static int record_write(int dir, const struct record *record)
{
	autobuf struct buf text = {};

	for (char **line = record->changes; line && *line; line++)
		buf_printf(&text, "%s\n", *line);
	for (char **name = record->machines; name && *name; name++)
		buf_printf(&text, "by %s\n", *name);
	return text.error < 0 ? text.error
			      : io_replace_file_at(dir, RECORD, text.data, 0644, false);
}

/* -1 where there is none. */
static int read_conf6(const char *name)
{
	autofree char *path = str_printf(CONF6 "%s", name);
	autofree char *text = NULL;

	if (!path || io_read_file_at(AT_FDCWD, path, 16, &text, NULL) < 0)
		return -1;
	return (int)strtol(text, NULL, 10);
}

static int write_conf6(const char *name, int value)
{
	autofree char *path = str_printf(CONF6 "%s", name);
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", value);
	return path ? io_write_file_at(AT_FDCWD, path, text) : -ENOMEM;
}

/* Changes `old` to `value`; leaves any other value alone. */
static int plan6(struct record *record, const char *link, const char *key, int old, int value)
{
	autofree char *name = str_printf("%s/%s", link, key);

	if (!name)
		return -ENOMEM;
	if (read_conf6(name) != old)
		return 0;
	return strv_add_owned(&record->changes, str_printf("6 %s %d %d", name, old, value));
}

static int change4(int rtnl, const char *name, bool is_back)
{
	struct network_link link = {};
	int r = network_find_link(rtnl, name, &link);

	if (r < 0 || link.forwards4 != is_back)
		return r;
	return network_set_conf4(rtnl, link.index, IPV4_DEVCONF_FORWARDING, !is_back);
}

/* Somebody else's value is neither ours to change nor to undo. */
static int change6(const char *name, const char *from, const char *to)
{
	if (read_conf6(name) != (int)strtol(from, NULL, 10))
		return 0;
	return write_conf6(name, (int)strtol(to, NULL, 10));
}

/* A line of the record, or back from it. */
static int change(int rtnl, const char *line, bool is_back)
{
	autostrv char **words = NULL;
	int r = strv_split(line, " ", &words);
	size_t count = strv_length(words);

	if (r >= 0 && count == 2 && streq(words[0], "4"))
		r = change4(rtnl, words[1], is_back);
	if (r >= 0 && count == 4 && streq(words[0], "6"))
		r = change6(words[1], words[is_back ? 3 : 2], words[is_back ? 2 : 3]);
	return r;
}

/* The host's links and addresses, as they were when they were read. */
struct uplinks {
	struct network_link *links;
	size_t link_count;
	struct network_address *addresses;
	size_t address_count;
};

static void uplinks_done(struct uplinks *uplinks)
{
	free(uplinks->links);
	free(uplinks->addresses);
}

static int uplinks_find(int rtnl, struct uplinks *ret)
{
	int r = network_list_links(rtnl, &ret->links, &ret->link_count);

	return r < 0 ? r : network_list_addresses(rtnl, &ret->addresses, &ret->address_count);
}

static bool is_link_local(const struct net_address *address)
{
	return address->family == AF_INET6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

/* An interface that others can be reached by, of the host itself. */
static bool is_uplink(const struct uplinks *uplinks, const struct network_link *link, int family)
{
	if ((link->flags & IFF_LOOPBACK) || network_link_is_ours(link))
		return false;
	for (size_t i = 0; i < uplinks->address_count; i++) {
		const struct network_address *address = &uplinks->addresses[i];

		if (address->link == link->index && address->prefix.address.family == family &&
		    !is_link_local(&address->prefix.address))
			return true;
	}
	return false;
}

static int plan_forward4(const struct uplinks *uplinks, struct record *record)
{
	int r = 0;

	for (size_t i = 0; i < uplinks->link_count && r >= 0; i++) {
		const struct network_link *link = &uplinks->links[i];

		if (link->forwards4 == 0 && is_uplink(uplinks, link, AF_INET))
			r = strv_add_owned(&record->changes, str_printf("4 %s", link->name));
	}
	return r;
}

/* The switch for all interfaces. First keep those that listen to router advertisements doing so. */
static int plan_forward6_globally(const struct uplinks *uplinks, struct record *record)
{
	int r = 0;

	if (read_conf6("all/forwarding") != 0)
		return 0;
	for (size_t i = 0; i < uplinks->link_count && r >= 0; i++)
		if (!(uplinks->links[i].flags & IFF_LOOPBACK) &&
		    !network_link_is_ours(&uplinks->links[i]))
			r = plan6(record, uplinks->links[i].name, "accept_ra", 1, 2);
	return r < 0 ? r : plan6(record, "all", "forwarding", 0, 1);
}

static int plan_forward6(const struct uplinks *uplinks, struct record *record)
{
	int r = 0;

	if (read_conf6("all/forwarding") == 1)
		return 0;
	if (read_conf6("all/force_forwarding") < 0)
		return plan_forward6_globally(uplinks, record);
	for (size_t i = 0; i < uplinks->link_count && r >= 0; i++)
		if (is_uplink(uplinks, &uplinks->links[i], AF_INET6))
			r = plan6(record, uplinks->links[i].name, "force_forwarding", 0, 1);
	return r;
}

static void forget_changes(struct record *record, size_t from)
{
	for (size_t i = strv_length(record->changes); i-- > from;) {
		free(record->changes[i]);
		record->changes[i] = NULL;
	}
}

/* Makes the changes from `from` on, and forgets those that failed. */
static int make_changes(int dir, int rtnl, struct record *record, size_t from, const char *machine)
{
	for (size_t i = from; record->changes[i]; i++) {
		bool is_ipv6 = record->changes[i][0] == '6';
		int r = change(rtnl, record->changes[i], false);

		if (r >= 0)
			continue;
		forget_changes(record, i);
		(void)record_write(dir, record);
		if (!is_ipv6)
			return r;
		log_warning_errno(r,
				  "machine %s: IPv6 is not forwarded between it and the world, "
				  "since " CONF6 " can't be written; IPv4 is",
				  machine);
		return 0;
	}
	return 0;
}

static int begin_locked(int dir, int rtnl, const char *machine, bool has_ipv6)
{
	autocall(record_done) struct record record = {};
	autocall(uplinks_done) struct uplinks uplinks = {};
	int r = record_read(dir, &record);
	size_t before = strv_length(record.changes);

	if (r >= 0)
		r = uplinks_find(rtnl, &uplinks);
	if (r >= 0)
		r = plan_forward4(&uplinks, &record);
	if (r >= 0 && has_ipv6)
		r = plan_forward6(&uplinks, &record);
	if (r < 0 || !record.changes)
		return r;
	if (!strv_contains(record.machines, machine))
		r = strv_add(&record.machines, machine);
	/* Write the record first, so that the change is undone even after a crash. */
	if (r >= 0)
		r = record_write(dir, &record);
	return r < 0 ? r : make_changes(dir, rtnl, &record, before, machine);
}

void network_forward_begin(int rtnl, const char *machine, bool has_ipv6)
{
	autoclose int lock = -1;
	autoclose int dir = network_lock(&lock);
	int r = dir < 0 ? dir : begin_locked(dir, rtnl, machine, has_ipv6);

	if (r < 0)
		log_warning_errno(r, "let the host forward for machine %s", machine);
}

/* Drops `machine`, which may be NULL, and all dead ones from the record. */
static int end_locked(int dir, const char *machine)
{
	autocall(record_done) struct record record = {};
	autocall(record_done) struct record left = {};
	autoclose int rtnl = -1;
	int r = record_read(dir, &record);

	for (char **name = record.machines; r >= 0 && name && *name; name++)
		if (!machine || !streq(*name, machine))
			r = strv_add(&left.machines, *name);
	if (r < 0)
		return r;
	if (left.machines) {
		left.changes = take_ptr(record.changes);
		return record_write(dir, &left);
	}
	/* If this fails, the record stays for the next one to undo. */
	rtnl = rtnl_open();
	if (rtnl < 0)
		return rtnl;
	for (size_t i = strv_length(record.changes); i-- > 0;)
		(void)change(rtnl, record.changes[i], true);
	return unlinkat(dir, RECORD, 0) < 0 ? -errno : 0;
}

int network_forward_end(const char *machine)
{
	autoclose int lock = -1;
	autoclose int dir = -1;

	if (access(NETWORK_DIR "/" RECORD, F_OK) < 0)
		return 0;
	dir = network_lock(&lock);
	return dir < 0 ? dir : end_locked(dir, machine);
}

void network_forward_clean(void)
{
	autoclose int lock = -1;
	autoclose int dir = -1;

	if (access(NETWORK_DIR, F_OK) < 0)
		return;
	dir = network_lock(&lock);
	if (dir < 0)
		return;
	io_remove_temporaries_at(dir, RECORD);
	if (faccessat(dir, RECORD, F_OK, 0) == 0)
		(void)end_locked(dir, NULL);
}

int network_forward_link6(const char *link, bool forwards)
{
	static const struct {
		const char *key;
		int value;
	} wanted[] = {{"accept_ra", 0}, {"accept_redirects", 0}, {"force_forwarding", 1}};
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted) - !forwards; i++) {
		autofree char *name = str_printf("%s/%s", link, wanted[i].key);
		int now = name ? read_conf6(name) : -1;
		int r = now < 0 || now == wanted[i].value ? 0 : write_conf6(name, wanted[i].value);

		if (r < 0)
			error = r;
	}
	return error;
}
