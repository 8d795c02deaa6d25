// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names in the store and of generations. Pure functions of strings. */
#include "nix/names.h"

#include <errno.h>
#include <limits.h>

#include "lib/parse.h"
#include "lib/str.h"
#include "nix/nix.h"

/* Nix's base 32 omits e, o, t and u. */
#define HASH_DIGITS "0123456789abcdfghijklmnpqrsvwxyz"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_BYTES LETTERS "0123456789+-._?="

bool nix_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length > NIX_HASH_LENGTH + 1 && length <= NIX_NAME_MAX &&
	       strspn(name, HASH_DIGITS) >= NIX_HASH_LENGTH && name[NIX_HASH_LENGTH] == '-' &&
	       strspn(name, NAME_BYTES) == length;
}

const char *nix_name_of_path(const char *path)
{
	const char *name = str_after_prefix(path, NIX_STORE_DIR "/");

	return name && nix_name_is_valid(name) ? name : NULL;
}

char *nix_path_of_name(const char *name)
{
	return str_printf(NIX_STORE_DIR "/%s", name);
}

const char *nix_name_without_hash(const char *name)
{
	return name + NIX_HASH_LENGTH + 1;
}

const char *nix_name_split(const char *name, size_t *ret_length, const char **ret_version)
{
	const char *plain = nix_name_without_hash(name), *dash = plain;

	while ((dash = strchr(dash, '-')) && (dash[1] == '\0' || strchr(LETTERS, dash[1])))
		dash++;
	*ret_length = dash ? (size_t)(dash - plain) : strlen(plain);
	*ret_version = dash ? dash + 1 : "";
	return plain;
}

bool nix_generation_of_link(const char *name, unsigned *ret)
{
	const char *digits = str_after_prefix(name, "system-");
	size_t length = digits ? strspn(digits, "0123456789") : 0;
	char number[16];
	uint32_t n;

	if (length == 0 || length >= sizeof(number) || digits[0] == '0' ||
	    !streq(digits + length, "-link"))
		return false;
	memcpy(number, digits, length);
	number[length] = '\0';
	if (parse_u32(number, &n) < 0)
		return false;
	*ret = n;
	return true;
}
