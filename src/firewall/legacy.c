/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading iptables-legacy's FORWARD policy. The two families differ in the front of an entry only,
 * of which we need the interfaces. Quiet. Supervisor's and caller's side.
 */
#include "firewall/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "lib/io.h"
#include "lib/str.h"

#define TABLE "filter"
#define NAMES_MAX 4096
#define TABLE_MAX (64U << 20)
#define RACE_TRIES 5

static const struct family {
	uint8_t nfproto;
	int domain, level;
	int get_info, get_entries;
	const char *names;
	size_t iniface, outiface, target_offset, next_offset;
} families[] = {
	{NFPROTO_IPV4, AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
	 "/proc/net/ip_tables_names", offsetof(struct ipt_entry, ip.iniface),
	 offsetof(struct ipt_entry, ip.outiface), offsetof(struct ipt_entry, target_offset),
	 offsetof(struct ipt_entry, next_offset)},
	{NFPROTO_IPV6, AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
	 "/proc/net/ip6_tables_names", offsetof(struct ip6t_entry, ipv6.iniface),
	 offsetof(struct ip6t_entry, ipv6.outiface), offsetof(struct ip6t_entry, target_offset),
	 offsetof(struct ip6t_entry, next_offset)},
};

/* Asking the kernel for a table creates it; reading the list does not. */
static bool is_in_use(const struct family *family)
{
	autofree char *names = NULL;
	autostrv char **lines = NULL;

	return io_read_file_at(AT_FDCWD, family->names, NAMES_MAX, &names, NULL) == 0 &&
	       strv_split(names, "\n", &lines) == 0 && strv_contains(lines, TABLE);
}

static uint16_t u16_at(const char *entry, size_t offset)
{
	uint16_t value;

	memcpy(&value, entry + offset, sizeof(value));
	return value;
}

/* The verdict of an entry with a standard target, else 0, which no such verdict is to us. */
static int verdict_of(const struct family *family, const char *entry, size_t size)
{
	struct xt_standard_target target;
	size_t at = u16_at(entry, family->target_offset);

	if (at + sizeof(target) > size)
		return 0;
	memcpy(&target, entry + at, sizeof(target));
	return target.target.u.user.name[0] == '\0' ? target.verdict : 0;
}

static bool names_link(const char *pattern, const char *link)
{
	size_t length = strnlen(pattern, IFNAMSIZ);

	if (length > 0 && pattern[length - 1] == '+')
		return strncmp(pattern, link, length - 1) == 0;
	return length > 0 && strncmp(pattern, link, IFNAMSIZ) == 0;
}

/* Whether the policy of FORWARD is DROP, and no rule of the table accepts the link both ways. */
static int drops(const struct family *family, const char *entries, size_t size, size_t underflow,
		 const char *link)
{
	bool is_drop = false, accepts_in = false, accepts_out = false;
	size_t at = 0, step;

	for (; at + sizeof(struct ipt_entry) <= size; at += step) {
		const char *entry = entries + at;
		int verdict;

		step = u16_at(entry, family->next_offset);
		if (step < sizeof(struct ipt_entry) || at + step > size)
			return -EBADMSG;
		verdict = verdict_of(family, entry, step);
		if (at == underflow)
			is_drop = verdict == -NF_DROP - 1;
		if (verdict != -NF_ACCEPT - 1)
			continue;
		accepts_in |= names_link(entry + family->iniface, link);
		accepts_out |= names_link(entry + family->outiface, link);
	}
	return is_drop && !(accepts_in && accepts_out);
}

static int read_table(const struct family *family, int fd, const char *link)
{
	struct ipt_getinfo info = {.name = TABLE};
	autofree struct ipt_get_entries *entries = NULL;
	socklen_t size = sizeof(info);

	if (getsockopt(fd, family->level, family->get_info, &info, &size) < 0)
		return -errno;
	if (info.size > TABLE_MAX)
		return -EFBIG;
	size = (socklen_t)(sizeof(*entries) + info.size);
	entries = calloc(1, size);
	if (!entries)
		return -ENOMEM;
	strcpy(entries->name, TABLE);
	entries->size = info.size;
	if (getsockopt(fd, family->level, family->get_entries, entries, &size) < 0)
		return -errno;
	return drops(family, (const char *)entries->entrytable, info.size,
		     info.underflow[NF_INET_FORWARD], link);
}

int firewall_legacy_drops(uint8_t nfproto, const char *link)
{
	const struct family *family = &families[nfproto == NFPROTO_IPV6];
	autoclose int fd = -1;
	int r = -EAGAIN;

	if (!is_in_use(family))
		return 0;
	fd = socket(family->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return -errno;
	/* Somebody may change the table, and its size, between the two calls. */
	for (int i = 0; i < RACE_TRIES && r == -EAGAIN; i++)
		r = read_table(family, fd, link);
	return r;
}
