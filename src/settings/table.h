/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of settings as data, for the readers and dumps of this folder and for tests. Quiet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

/* What a setting is. */
struct setting {
	const char *id; /* "BIND_RO" */
	enum setting_type type;
	enum setting_trust trust;
	enum setting_id group;
	const char *later; /* NULL, or why it isn't supported yet */
};

/* How it is written. A setting has one to three. */
struct setting_name {
	enum setting_id id;
	const char *section, *key; /* NULL: not in files */
	const char *option;	   /* NULL: no long option */
	char short_option;	   /* 0: none */
	const char *metavar;	   /* "" no value, "=X" needs one, "[=X]" may have one */
	const char *value;	   /* what it means without one, NULL when it needs one */
	const char *since;
	const char *help; /* NULL: not in the help */
	bool alias;
};

/* A part of the help: begins at the names' index `first`. */
struct setting_heading {
	size_t first;
	const char *text; /* NULL: nothing honoured in it yet */
};

enum setting_items {
	SETTING_ITEMS_ONE,
	SETTING_ITEMS_EACH,
	SETTING_ITEMS_SPLIT,
};

struct setting_type_info {
	const char *name;
	enum setting_items items;
	int (*check)(const char *text); /* 0 or -errno */
	const char *form;		/* what to write instead */
};

/* There are fewer; a test says so. */
#define SETTING_SECTIONS_MAX 15

extern const struct setting setting_table[SETTING_COUNT];
extern const struct setting_name setting_names[];
extern const size_t setting_name_count;
extern const struct setting_heading setting_headings[];
extern const size_t setting_heading_count;
extern const struct setting_type_info setting_types[SETTING_TYPE_COUNT];

static inline bool setting_name_takes_value(const struct setting_name *name)
{
	return name->metavar[0] != '\0';
}

static inline bool setting_name_needs_value(const struct setting_name *name)
{
	return name->metavar[0] == '=';
}

const struct setting_name *setting_by_option(const char *option, size_t length);
const struct setting_name *setting_by_short_option(char option);
const struct setting_name *setting_by_key(const char *section, const char *key);
bool setting_section_is_known(const char *section);

/* The nearest known spelling, for "did you mean", or NULL. `section` NULL: in any of them. */
const char *setting_nearest_option(const char *option);
const char *setting_nearest_key(const char *section, const char *key);
const char *setting_nearest_section(const char *section);
/* The sections of files, each once, in the order of the table; ends with NULL. */
void setting_list_sections(const char *ret[static SETTING_SECTIONS_MAX + 1]);
/* The section that has this key, or NULL. */
const char *setting_section_of_key(const char *key);

/* The setting that --rlimit=NAME means: "NOFILE", "RLIMIT_NOFILE", "LimitNOFILE"; -EINVAL. */
int setting_by_rlimit(const char *name, enum setting_id *ret);

/* Adds a value (copied) or, for a setting of one value, replaces it. 0 or -ENOMEM. */
int settings_add(struct settings *settings, enum setting_id id, const struct setting_value *value);
void settings_clear(struct settings *settings, enum setting_id id);
bool settings_group_has(const struct settings *settings, enum setting_id group,
			enum setting_source source);
