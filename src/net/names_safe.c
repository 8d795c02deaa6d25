/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which names of machines are published bare: those that mean nothing else to anybody on the host.
 * Whoever may start a machine, or name one after an image, must not take a name over that programs
 * of the host look up for something else. Readers, in any process, know the names that are never
 * anybody's (net_name_is_reserved); the supervisor looks at what this host has besides.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "net/names.h"

#define HOSTS_FILE "/etc/hosts"
/* Block lists of advertisers in /etc/hosts can have some megabytes. */
#define HOSTS_MAX (64 * 1024 * 1024)
#define BLANKS " \t\r\v\f"

/*
 * Names of one label with a meaning of their own. Sources: RFC 6761, 6762, 7686, 9476 and the
 * zone .internal; systemd-resolved.service(8) for gateway; hosts files of Debian, Fedora and macOS;
 * wpad and isatap (RFC 5214) are what programs ask for to be told a proxy or a router.
 */
static const char *const reserved[] = {
	"alt",		"arpa",		  "broadcasthost",
	"example",	"gateway",	  "home",
	"internal",	"invalid",	  "ip6-allhosts",
	"ip6-allnodes", "ip6-allrouters", "ip6-localhost",
	"ip6-localnet", "ip6-loopback",	  "ip6-mcastprefix",
	"isatap",	"localdomain",	  "localhost",
	"localhost4",	"localhost6",	  "onion",
	"redd",		"test",		  "wpad",
};

/* strcasecmp() asks the locale of whoever called, and a Turkish "I" is no "i". */
static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool net_name_equal(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (lower(*a) != lower(*b))
			return false;
	return *a == *b;
}

/* "1", "0x7f1" and "017" are addresses for inet_aton(3), and so for getaddrinfo(3). */
static bool is_like_address(const char *name)
{
	struct in_addr address;

	return inet_aton(name, &address) != 0;
}

static const char *reserved_reason(const char *name)
{
	if (strchr(name, '.'))
		return "a name with a dot may be one of the DNS";
	if (is_like_address(name))
		return "it can be read as an address";
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (net_name_equal(name, reserved[i]))
			return "this name has a meaning of its own on every host";
	return NULL;
}

bool net_name_is_reserved(const char *name)
{
	return reserved_reason(name) != NULL;
}

/* The host's own name, with its domain or without. */
static bool is_host(const char *name)
{
	char host[HOST_NAME_MAX + 1] = "";
	char *dot;

	if (gethostname(host, sizeof(host) - 1) < 0)
		return false;
	dot = strchr(host, '.');
	if (dot)
		*dot = '\0';
	return net_name_equal(name, host);
}

/* The output of `redd hosts` may have been added there: then the machine itself is meant. */
static bool is_one_of(const char *text, const struct net_address *addresses, size_t count)
{
	struct net_address address;

	if (net_address_parse(text, &address) < 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (net_address_equal(&address, &addresses[i]))
			return true;
	return false;
}

static bool line_has(char *line, const char *name, const struct net_address *addresses,
		     size_t count)
{
	char *rest = NULL, *address, *word;

	line[strcspn(line, "#")] = '\0';
	address = strtok_r(line, BLANKS, &rest);
	for (word = address ? strtok_r(NULL, BLANKS, &rest) : NULL; word;
	     word = strtok_r(NULL, BLANKS, &rest))
		if (net_name_equal(word, name))
			return !is_one_of(address, addresses, count);
	return false;
}

/* 1, 0 or -errno. */
static int hosts_file_has(const char *name, const struct net_address *addresses, size_t count)
{
	autofree char *text = NULL;
	char *rest = NULL, *line;
	int r = io_read_file_at(AT_FDCWD, HOSTS_FILE, HOSTS_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (line_has(line, name, addresses, count))
			return 1;
	return 0;
}

const char *net_name_conflict(const char *machine, const struct net_address *addresses,
			      size_t count)
{
	const char *reason = reserved_reason(machine);
	int r;

	if (reason)
		return reason;
	if (is_host(machine))
		return "it is the host's own name";
	r = hosts_file_has(machine, addresses, count);
	if (r < 0)
		return HOSTS_FILE " can't be read, and may have it";
	return r > 0 ? HOSTS_FILE " has it for another address" : NULL;
}
