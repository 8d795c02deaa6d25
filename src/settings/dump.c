/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Help, JSON and completion words from the table of settings. Must never hold text about a setting
 * of its own. Caller's side of clone().
 */
#include "settings/dump.h"

#include <string.h>

#include "settings/table.h"

/* The width of "  -D --directory=PATH       ", as other programs of this kind have it. */
#define HELP_COLUMN 30

static bool is_in_help(const struct setting_name *name)
{
	return name->help && !setting_table[name->id].later;
}

static void dump_help_line(struct buf *out, const struct setting_name *name)
{
	size_t start = out->size, width;

	if (name->short_option)
		buf_printf(out, "  -%c", name->short_option);
	else
		buf_add_str(out, "    ");
	if (name->option)
		buf_printf(out, " --%s%s", name->option, name->metavar);
	width = out->size - start;
	if (width >= HELP_COLUMN) {
		buf_add_str(out, "\n");
		width = 0;
	}
	buf_printf(out, "%*s%s\n", (int)(HELP_COLUMN - width), "", name->help);
}

void settings_dump_help(struct buf *out)
{
	size_t heading = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		while (heading < setting_heading_count && setting_headings[heading].first == i) {
			if (setting_headings[heading].text)
				buf_printf(out, "%s%s:\n", i > 0 ? "\n" : "",
					   setting_headings[heading].text);
			heading++;
		}
		if (is_in_help(&setting_names[i]))
			dump_help_line(out, &setting_names[i]);
	}
}

/* The table is ours: no control bytes, so that only these two need an escape. */
static void dump_json_string(struct buf *out, const char *s)
{
	buf_add_str(out, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_add_str(out, "\\");
		buf_add(out, s, 1);
	}
	buf_add_str(out, "\"");
}

static void dump_json_names(struct buf *out, enum setting_id id)
{
	bool first = true;

	buf_add_str(out, ", \"names\": [");
	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];

		if (name->id != id)
			continue;
		buf_printf(out, "%s{\"since\": \"%s\"", first ? "" : ", ", name->since);
		first = false;
		if (name->option)
			buf_printf(out, ", \"option\": \"--%s\"", name->option);
		if (name->short_option)
			buf_printf(out, ", \"short\": \"-%c\"", name->short_option);
		if (name->key)
			buf_printf(out, ", \"section\": \"%s\", \"key\": \"%s\"", name->section,
				   name->key);
		if (*name->metavar) {
			buf_add_str(out, ", \"argument\": ");
			dump_json_string(out, name->metavar);
		}
		if (name->value)
			buf_printf(out, ", \"value\": \"%s\"", name->value);
		buf_add_str(out, "}");
	}
	buf_add_str(out, "]");
}

static void dump_json_setting(struct buf *out, enum setting_id id)
{
	const struct setting *setting = &setting_table[id];
	const struct setting_type_info *type = &setting_types[setting->type];

	buf_printf(out, "{\"id\": \"%s\", \"type\": \"%s\", \"list\": %s, \"trust\": \"%s\"",
		   setting->id, type->name, type->items == SETTING_ITEMS_ONE ? "false" : "true",
		   setting->trust == SETTING_TRUST_ANY ? "any" : "trusted");
	buf_printf(out, ", \"group\": %d, \"form\": ", (int)setting->group);
	dump_json_string(out, type->form);
	buf_printf(out, ", \"honoured\": %s", setting->later ? "false" : "true");
	if (setting->later) {
		buf_add_str(out, ", \"reason\": ");
		dump_json_string(out, setting->later);
	}
	dump_json_names(out, id);
	buf_add_str(out, "}");
}

void settings_dump_json(struct buf *out)
{
	buf_add_str(out, "{\"settings\": [\n");
	for (int id = 0; id < SETTING_COUNT; id++) {
		dump_json_setting(out, (enum setting_id)id);
		buf_add_str(out, id + 1 < SETTING_COUNT ? ",\n" : "\n");
	}
	buf_add_str(out, "]}\n");
}

void settings_dump_completion(struct buf *out)
{
	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];

		if (setting_table[name->id].later)
			continue;
		if (name->option)
			buf_printf(out, "--%s%s\n", name->option,
				   setting_name_needs_value(name) ? "=" : "");
		if (name->short_option)
			buf_printf(out, "-%c\n", name->short_option);
	}
}
