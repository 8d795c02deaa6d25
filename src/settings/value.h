/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms of values: checks for the table, parsers for the spec. Pure functions of text, quiet:
 * 0, -EINVAL (not of the form), -ERANGE, -ENOMEM or what the comment says. Never looks anything up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "lib/cleanup.h"
#include "net/address.h"

enum value_settings_mode {
	VALUE_SETTINGS_YES,
	VALUE_SETTINGS_NO,
	VALUE_SETTINGS_OVERRIDE, /* the file beats the command line */
	VALUE_SETTINGS_TRUSTED,	 /* a file beside the image is believed */
};
int value_parse_settings_mode(const char *text, enum value_settings_mode *ret);

enum value_console {
	VALUE_CONSOLE_INTERACTIVE,
	VALUE_CONSOLE_READ_ONLY,
	VALUE_CONSOLE_PASSIVE,
	VALUE_CONSOLE_PIPE,
	VALUE_CONSOLE_AUTOPIPE, /* interactive on a terminal, else pipe */
};
int value_parse_console(const char *text, enum value_console *ret);

enum value_nix_store {
	VALUE_NIX_STORE_OWN,
	VALUE_NIX_STORE_CLOSURE,
	VALUE_NIX_STORE_WHOLE,
	VALUE_NIX_STORE_DAEMON,
};
int value_parse_nix_store(const char *text, enum value_nix_store *ret);

enum value_users_mode {
	VALUE_USERS_NO,
	VALUE_USERS_YES,
	VALUE_USERS_PICK,
	VALUE_USERS_IDENTITY,
	VALUE_USERS_FIXED,
};

struct value_users {
	enum value_users_mode mode;
	uint32_t shift;
	uint32_t range;
};

#define VALUE_USERS_RANGE 65536
/* -ERANGE when the range holds an id that Linux keeps for itself. */
int value_parse_users(const char *text, struct value_users *ret);

enum value_idmap {
	VALUE_IDMAP_NONE,
	VALUE_IDMAP_IDMAP,
	VALUE_IDMAP_ROOT,
	VALUE_IDMAP_OWNER,
};

struct value_bind {
	char *source; /* host path, or inside with source_in_image; simplified */
	bool source_in_image;
	char *target; /* inside, normalized */
	bool recursive;
	enum value_idmap idmap;
};

void value_bind_done(struct value_bind *bind);
/* SOURCE[:TARGET[:OPTIONS]], "\:" for a colon in a path. -EOPNOTSUPP for an empty source. */
int value_parse_bind(const char *text, struct value_bind *ret);

struct value_tmpfs {
	char *target;  /* inside, normalized */
	char *options; /* mount options */
};

void value_tmpfs_done(struct value_tmpfs *tmpfs);
int value_parse_tmpfs(const char *text, struct value_tmpfs *ret);

/* HOST[:NAME]: an interface of the host, and what it is called inside (NULL: not said). */
struct value_link {
	char *host; /* may be an alternative name, up to 127 bytes */
	char *guest;
};

void value_link_done(struct value_link *link);
int value_parse_link(const char *text, struct value_link *ret);

/* Makes a valid interface name behind "vz-". */
bool value_zone_is_valid(const char *text);

/* Source: systemd-nspawn(1), --resolv-conf=. */
enum value_resolv_conf {
	VALUE_RESOLV_CONF_OFF,
	VALUE_RESOLV_CONF_COPY_HOST,
	VALUE_RESOLV_CONF_COPY_STATIC,
	VALUE_RESOLV_CONF_COPY_UPLINK,
	VALUE_RESOLV_CONF_COPY_STUB,
	VALUE_RESOLV_CONF_REPLACE_HOST,
	VALUE_RESOLV_CONF_REPLACE_STATIC,
	VALUE_RESOLV_CONF_REPLACE_UPLINK,
	VALUE_RESOLV_CONF_REPLACE_STUB,
	VALUE_RESOLV_CONF_BIND_HOST,
	VALUE_RESOLV_CONF_BIND_STATIC,
	VALUE_RESOLV_CONF_BIND_UPLINK,
	VALUE_RESOLV_CONF_BIND_STUB,
	VALUE_RESOLV_CONF_DELETE,
	VALUE_RESOLV_CONF_AUTO,
};
int value_parse_resolv_conf(const char *text, enum value_resolv_conf *ret);

enum value_rlimit_unit {
	VALUE_RLIMIT_COUNT,
	VALUE_RLIMIT_BYTES,
	VALUE_RLIMIT_SECONDS,
	VALUE_RLIMIT_MICROSECONDS,
	VALUE_RLIMIT_NICE,
};
/* SOFT[:HARD]; -EINVAL also when SOFT is above HARD. */
int value_parse_rlimit(const char *text, enum value_rlimit_unit unit, struct rlimit *ret);

/*
 * Digits only: a number that a user can have (X05), never a name. Else a name that starts with a
 * letter or underscore.
 */
bool value_user_is_valid(const char *text);
/* [A-Za-z_][A-Za-z0-9_]* */
bool value_variable_name_is_valid(const char *text, size_t length);

#define TYPE(id, name, items, check, form) int check(const char *text);
#include "settings/types.def"
