/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the values of settings look like. Must never look at a file, a user database or the
 * environment. Caller's side of clone().
 */
#include "settings/value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/caps.h"
#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"

#define USER_NAME_MAX 255

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The index of `text` in `words`, or -EINVAL. */
static int parse_word(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (streq(text, words[i]))
			return (int)i;
	return -EINVAL;
}

int value_parse_settings_mode(const char *text, enum value_settings_mode *ret)
{
	bool yes;

	if (parse_bool(text, &yes) == 0)
		*ret = yes ? VALUE_SETTINGS_YES : VALUE_SETTINGS_NO;
	else if (streq(text, "override"))
		*ret = VALUE_SETTINGS_OVERRIDE;
	else if (streq(text, "trusted"))
		*ret = VALUE_SETTINGS_TRUSTED;
	else
		return -EINVAL;
	return 0;
}

int value_parse_console(const char *text, enum value_console *ret)
{
	static const char *const words[] = {
		[VALUE_CONSOLE_INTERACTIVE] = "interactive",
		[VALUE_CONSOLE_READ_ONLY] = "read-only",
		[VALUE_CONSOLE_PASSIVE] = "passive",
		[VALUE_CONSOLE_PIPE] = "pipe",
		[VALUE_CONSOLE_AUTOPIPE] = "autopipe",
	};
	int r = parse_word(text, words, ARRAY_SIZE(words));

	if (r < 0)
		return r;
	*ret = (enum value_console)r;
	return 0;
}

int value_parse_nix_store(const char *text, enum value_nix_store *ret)
{
	static const char *const words[] = {
		[VALUE_NIX_STORE_OWN] = "own",
		[VALUE_NIX_STORE_CLOSURE] = "closure",
		[VALUE_NIX_STORE_WHOLE] = "whole",
		[VALUE_NIX_STORE_DAEMON] = "daemon",
	};
	int r = parse_word(text, words, ARRAY_SIZE(words));

	if (r < 0)
		return r;
	*ret = (enum value_nix_store)r;
	return 0;
}

/* A range may not hold 65535 (the kernel's overflow of 16 bits) as its base, nor reach 2^32 - 1. */
static bool users_range_is_valid(uint32_t shift, uint32_t range)
{
	return range > 0 && shift != UINT16_MAX && (uint64_t)shift + range <= UINT32_MAX;
}

static int parse_users_range(const char *text, struct value_users *ret)
{
	autofree char *base = strndup(text, strcspn(text, ":"));
	struct value_users users = {.mode = VALUE_USERS_FIXED, .range = VALUE_USERS_RANGE};
	int r;

	if (!base)
		return -ENOMEM;
	r = parse_u32(base, &users.shift);
	if (r >= 0 && text[strlen(base)] == ':')
		r = parse_u32(text + strlen(base) + 1, &users.range);
	if (r < 0)
		return r;
	if (!users_range_is_valid(users.shift, users.range))
		return -ERANGE;
	*ret = users;
	return 0;
}

int value_parse_users(const char *text, struct value_users *ret)
{
	bool yes;

	/* "0" and "1" are booleans here, as they are for systemd-nspawn: never a base. */
	if (parse_bool(text, &yes) == 0) {
		*ret = (struct value_users){.mode = yes ? VALUE_USERS_YES : VALUE_USERS_NO};
		return 0;
	}
	if (streq(text, "pick")) {
		*ret = (struct value_users){.mode = VALUE_USERS_PICK};
		return 0;
	}
	if (streq(text, "identity")) {
		*ret = (struct value_users){.mode = VALUE_USERS_IDENTITY,
					    .range = VALUE_USERS_RANGE};
		return 0;
	}
	return parse_users_range(text, ret);
}

bool value_user_is_valid(const char *text)
{
	uint32_t uid;

	if (text[strspn(text, "0123456789")] == '\0')
		return parse_uid(text, &uid) == 0;
	if (strlen(text) > USER_NAME_MAX || (!is_letter(*text) && *text != '_'))
		return false;
	for (; *text; text++)
		if (!is_letter(*text) && !is_digit(*text) && !strchr("_.-", *text))
			return *text == '$' && !text[1];
	return true;
}

bool value_variable_name_is_valid(const char *text, size_t length)
{
	if (length == 0 || is_digit(*text))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '_')
			return false;
	return true;
}

int value_check_any(const char *text)
{
	return 0;
}

int value_check_bool(const char *text)
{
	bool yes;

	return parse_bool(text, &yes);
}

int value_check_settings_mode(const char *text)
{
	enum value_settings_mode mode;

	return value_parse_settings_mode(text, &mode);
}

int value_check_console(const char *text)
{
	enum value_console console;

	return value_parse_console(text, &console);
}

int value_check_nix_store(const char *text)
{
	enum value_nix_store store;

	return value_parse_nix_store(text, &store);
}

int value_check_hostname(const char *text)
{
	return machine_name_is_valid(text) ? 0 : -EINVAL;
}

int value_check_path(const char *text)
{
	return *text && strlen(text) < PATH_MAX ? 0 : -EINVAL;
}

int value_check_path_inside(const char *text)
{
	autofree char *simple = path_simplify(text);

	if (!simple)
		return -ENOMEM;
	return path_is_normalized(simple) ? 0 : -EINVAL;
}

int value_check_user(const char *text)
{
	return value_user_is_valid(text) ? 0 : -EINVAL;
}

int value_check_environment(const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals)
		return -EINVAL;
	return value_variable_name_is_valid(text, (size_t)(equals - text)) ? 0 : -EINVAL;
}

int value_check_capabilities(const char *text)
{
	uint64_t mask;

	return caps_parse_list(text, &mask, NULL);
}

int value_check_signal(const char *text)
{
	int signal;

	return parse_signal(text, &signal);
}

int value_check_id128(const char *text)
{
	static const uint8_t zero[16];
	uint8_t id[16];
	int r = parse_id128(text, id);

	if (r < 0)
		return r;
	return memcmp(id, zero, sizeof(id)) == 0 ? -EINVAL : 0;
}

int value_check_users(const char *text)
{
	struct value_users users;

	return value_parse_users(text, &users);
}

int value_check_duration(const char *text)
{
	uint64_t us;

	return parse_duration_us(text, &us);
}
