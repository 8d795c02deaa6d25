/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and hardware addresses of links. Pure. Supervisor's side. */
#include "net/link_name.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"

#define KEY_SIZE 16

/* The fixed keys of systemd-nspawn's hashes: names and addresses must be the same. */
static const uint8_t mac_keys[NET_ROLE_COUNT][KEY_SIZE] = {
	[NET_ROLE_HOST] = {0x1a, 0x37, 0x6f, 0xc7, 0x46, 0xec, 0x45, 0x0b, 0xad, 0xa3, 0xd5, 0x31,
			   0x06, 0x60, 0x5d, 0xb1},
	[NET_ROLE_GUEST] = {0xc3, 0xc4, 0xf9, 0x19, 0xb5, 0x57, 0xb2, 0x1c, 0xe6, 0xcf, 0x14, 0x27,
			    0x03, 0x9c, 0xee, 0xa2},
	[NET_ROLE_EXTRA_HOST] = {0x48, 0xc7, 0xf6, 0xb7, 0xea, 0x9d, 0x4c, 0x9e, 0xb7, 0x28, 0xd4,
				 0xde, 0x91, 0xd5, 0xbf, 0x66},
	[NET_ROLE_EXTRA_GUEST] = {0xaf, 0x50, 0x17, 0x61, 0xce, 0xf9, 0x4d, 0x35, 0x84, 0x0d, 0x2b,
				  0x20, 0x54, 0xbe, 0xce, 0x59},
	[NET_ROLE_MACVLAN] = {0x00, 0x13, 0x6d, 0xbc, 0x66, 0x83, 0x44, 0x81, 0xbb, 0x0c, 0xf9,
			      0x51, 0x1f, 0x24, 0xa6, 0x6f},
};
static const uint8_t name_key[KEY_SIZE] = {0xe1, 0x90, 0xa4, 0x04, 0xa8, 0xef, 0x4b, 0x51,
					   0x8c, 0xcc, 0xc3, 0x3a, 0x9f, 0x11, 0xfc, 0xa2};

bool net_link_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= IFNAMSIZ || streq(name, ".") || streq(name, ".."))
		return false;
	for (const char *c = name; *c; c++)
		if (!isgraph((unsigned char)*c) || strchr("/:%", *c))
			return false;
	return name[strspn(name, "0123456789")] != '\0';
}

/* For a name too long for the kernel: 11 characters, then 24 bits of a hash in base64url. */
static void shorten(const char *full, char ret[IFNAMSIZ])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t hash = hash_siphash24(full, strlen(full), name_key);

	memcpy(ret, full, IFNAMSIZ - 5);
	for (int i = 0; i < 4; i++)
		ret[IFNAMSIZ - 5 + i] = digits[(hash >> (18 - 6 * i)) & 63];
	ret[IFNAMSIZ - 1] = '\0';
}

int net_link_name(const char *prefix, const char *name, char ret[IFNAMSIZ], char **ret_alias)
{
	autofree char *full = str_printf("%s%s", prefix, name);

	if (!full)
		return -ENOMEM;
	if (strlen(full) < IFNAMSIZ) {
		strcpy(ret, full);
		*ret_alias = NULL;
		return 0;
	}
	shorten(full, ret);
	*ret_alias = take_ptr(full);
	return 0;
}

/* The low 48 bits of the hash of (host id, machine name[, number]), marked local and unicast. */
void net_link_mac(const char *host_id, const char *machine, enum net_role role, uint64_t number,
		  uint8_t ret[ETH_ALEN])
{
	uint8_t data[16 + 256 + sizeof(number)] = {};
	size_t size = MIN(strlen(machine), (size_t)256);
	uint64_t little = htole64(number);
	uint64_t hash;

	(void)parse_id128(host_id, data);
	memcpy(data + 16, machine, size);
	size += 16;
	/* The first of a kind is hashed without its number. */
	if (number > 0) {
		memcpy(data + size, &little, sizeof(little));
		size += sizeof(little);
	}
	hash = hash_siphash24(data, size, mac_keys[role]);
	for (int i = 0; i < ETH_ALEN; i++)
		ret[i] = (uint8_t)(hash >> (8 * i));
	ret[0] = (uint8_t)((ret[0] & 0xfe) | 0x02);
}
