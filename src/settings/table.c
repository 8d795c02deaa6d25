/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.def and types.def as arrays, and look-ups in them. Must never hold a fact of its own
 * about a setting. Caller's side of clone().
 */
#include "settings/table.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "settings/value.h"

/* Above any list of options, keys or sections: what "did you mean" looks through. */
#define CANDIDATES_MAX 256

const struct setting setting_table[SETTING_COUNT] = {
#define SETTING(ID, section_, key_, option_, short_, metavar_, type_, trust_, group_, since_,      \
		later_, help_)                                                                     \
	[SETTING_##ID] = {                                                                         \
		.id = #ID,                                                                         \
		.type = SETTING_TYPE_##type_,                                                      \
		.trust = SETTING_TRUST_##trust_,                                                   \
		.group = SETTING_##group_,                                                         \
		.later = later_,                                                                   \
	},
#include "settings/settings.def"
};

const struct setting_name setting_names[] = {
#define SETTING(ID, section_, key_, option_, short_, metavar_, type_, trust_, group_, since_,      \
		later_, help_)                                                                     \
	{                                                                                          \
		.id = SETTING_##ID,                                                                \
		.section = section_,                                                               \
		.key = key_,                                                                       \
		.option = option_,                                                                 \
		.short_option = short_,                                                            \
		.metavar = metavar_,                                                               \
		.value = metavar_[0] == '=' ? NULL : "yes",                                        \
		.since = since_,                                                                   \
		.help = help_,                                                                     \
	},
#define ALIAS(ID, section_, key_, option_, short_, metavar_, value_, since_, help_)                \
	{                                                                                          \
		.id = SETTING_##ID,                                                                \
		.section = section_,                                                               \
		.key = key_,                                                                       \
		.option = option_,                                                                 \
		.short_option = short_,                                                            \
		.metavar = metavar_,                                                               \
		.value = value_,                                                                   \
		.since = since_,                                                                   \
		.help = help_,                                                                     \
		.alias = true,                                                                     \
	},
#include "settings/settings.def"
};

const size_t setting_name_count = ARRAY_SIZE(setting_names);

/* A heading takes the number of the name behind it without using it up. */
enum heading_position {
#define SETTING(id, ...) POSITION_##id,
#define HEADING(id, text) POSITION_HEADING_##id, POSITION_BEFORE_##id = POSITION_HEADING_##id - 1,
#define ALIAS(id, ...) CONCATENATE(POSITION_ALIAS_, __COUNTER__),
#define CONCATENATE(a, b) CONCATENATE_(a, b)
#define CONCATENATE_(a, b) a##b
#include "settings/settings.def"
};

const struct setting_heading setting_headings[] = {
#define HEADING(id, text_) {.first = POSITION_HEADING_##id, .text = text_},
#include "settings/settings.def"
};

const size_t setting_heading_count = ARRAY_SIZE(setting_headings);

const struct setting_type_info setting_types[SETTING_TYPE_COUNT] = {
#define TYPE(id, name_, items_, check_, form_)                                                     \
	[SETTING_TYPE_##id] = {                                                                    \
		.name = name_,                                                                     \
		.items = SETTING_ITEMS_##items_,                                                   \
		.check = check_,                                                                   \
		.form = form_,                                                                     \
	},
#include "settings/types.def"
};

const struct setting_name *setting_by_option(const char *option, size_t length)
{
	for (size_t i = 0; i < setting_name_count; i++) {
		const char *name = setting_names[i].option;

		if (name && strncmp(name, option, length) == 0 && !name[length])
			return &setting_names[i];
	}
	return NULL;
}

const struct setting_name *setting_by_short_option(char option)
{
	for (size_t i = 0; i < setting_name_count; i++)
		if (option && setting_names[i].short_option == option)
			return &setting_names[i];
	return NULL;
}

const struct setting_name *setting_by_key(const char *section, const char *key)
{
	for (size_t i = 0; i < setting_name_count; i++)
		if (setting_names[i].key && streq(setting_names[i].section, section) &&
		    streq(setting_names[i].key, key))
			return &setting_names[i];
	return NULL;
}

bool setting_section_is_known(const char *section)
{
	for (size_t i = 0; i < setting_name_count; i++)
		if (setting_names[i].section && streq(setting_names[i].section, section))
			return true;
	return false;
}

const char *setting_section_of_key(const char *key)
{
	for (size_t i = 0; i < setting_name_count; i++)
		if (setting_names[i].key && streq(setting_names[i].key, key))
			return setting_names[i].section;
	return NULL;
}

const char *setting_nearest_option(const char *option)
{
	const char *candidates[CANDIDATES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < setting_name_count && n < CANDIDATES_MAX - 1; i++)
		if (setting_names[i].option && !setting_table[setting_names[i].id].later)
			candidates[n++] = setting_names[i].option;
	candidates[n] = NULL;
	return str_nearest(option, candidates);
}

const char *setting_nearest_key(const char *section, const char *key)
{
	const char *candidates[CANDIDATES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < setting_name_count && n < CANDIDATES_MAX - 1; i++)
		if (setting_names[i].key && (!section || streq(section, setting_names[i].section)))
			candidates[n++] = setting_names[i].key;
	candidates[n] = NULL;
	return str_nearest(key, candidates);
}

static bool is_listed(const char *const *list, const char *word)
{
	for (; *list; list++)
		if (streq(*list, word))
			return true;
	return false;
}

void setting_list_sections(const char *ret[static SETTING_SECTIONS_MAX + 1])
{
	size_t n = 0;

	ret[0] = NULL;
	for (size_t i = 0; i < setting_name_count && n < SETTING_SECTIONS_MAX; i++) {
		const char *section = setting_names[i].section;

		if (!section || is_listed(ret, section))
			continue;
		ret[n++] = section;
		ret[n] = NULL;
	}
}

const char *setting_nearest_section(const char *section)
{
	const char *sections[SETTING_SECTIONS_MAX + 1];

	setting_list_sections(sections);
	for (size_t i = 0; sections[i]; i++)
		if (strcasecmp(sections[i], section) == 0)
			return sections[i];
	return str_nearest(section, sections);
}

int setting_by_rlimit(const char *name, enum setting_id *ret)
{
	static const char *const prefixes[] = {"RLIMIT_", "Limit"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
			name += strlen(prefixes[i]);
			break;
		}
	for (size_t i = 0; i < setting_name_count; i++) {
		const char *key = setting_names[i].key;
		const char *limit = key ? str_after_prefix(key, "Limit") : NULL;

		if (limit && strcasecmp(limit, name) == 0) {
			*ret = setting_names[i].id;
			return 0;
		}
	}
	return -EINVAL;
}
