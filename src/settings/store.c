/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values that were given, per setting. Must never know what a setting means. Quiet. Caller's
 * side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/parse.h"
#include "lib/str.h"
#include "settings/table.h"

static void value_done(struct setting_value *value)
{
	free(value->text);
	free(value->origin);
}

void settings_clear(struct settings *settings, enum setting_id id)
{
	struct setting_values *values = &settings->rows[id];

	for (size_t i = 0; i < values->count; i++)
		value_done(&values->items[i]);
	free(values->items);
	*values = (struct setting_values){};
}

void settings_done(struct settings *settings)
{
	int saved = errno;

	for (int id = 0; id < SETTING_COUNT; id++)
		settings_clear(settings, (enum setting_id)id);
	free(settings->file);
	*settings = (struct settings){};
	errno = saved;
}

static int values_append(struct setting_values *values, const struct setting_value *value)
{
	struct setting_value *grown;

	/* At 0, 1, 2, 4, 8… items there is no room left: adding many stays linear. */
	if ((values->count & (values->count - 1)) == 0) {
		grown = reallocarray(values->items, values->count ? values->count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		values->items = grown;
	}
	values->items[values->count++] = *value;
	return 0;
}

int settings_add(struct settings *settings, enum setting_id id, const struct setting_value *value)
{
	struct setting_value copy = {
		.text = strdup(value->text),
		.origin = strdup(value->origin),
		.source = value->source,
		.order = settings->added,
	};
	int r = -ENOMEM;

	if (setting_types[setting_table[id].type].items == SETTING_ITEMS_ONE)
		settings_clear(settings, id);
	if (copy.text && copy.origin)
		r = values_append(&settings->rows[id], &copy);
	if (r < 0) {
		value_done(&copy);
		return r;
	}
	settings->added++;
	return 0;
}

bool settings_group_has(const struct settings *settings, enum setting_id group,
			enum setting_source source)
{
	for (int id = 0; id < SETTING_COUNT; id++) {
		const struct setting_values *values = &settings->rows[id];

		if (setting_table[id].group != group)
			continue;
		for (size_t i = 0; i < values->count; i++)
			if (values->items[i].source == source)
				return true;
	}
	return false;
}

const struct setting_value *settings_get(const struct settings *settings, enum setting_id id)
{
	const struct setting_values *values = &settings->rows[id];

	return values->count > 0 ? &values->items[values->count - 1] : NULL;
}

const char *settings_text(const struct settings *settings, enum setting_id id)
{
	const struct setting_value *value = settings_get(settings, id);

	return value ? value->text : NULL;
}

bool settings_bool(const struct settings *settings, enum setting_id id, bool fallback)
{
	const struct setting_value *value = settings_get(settings, id);
	bool yes;

	return value && parse_bool(value->text, &yes) == 0 ? yes : fallback;
}
