/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scdoc text from the table and the prose of man/settings/rows.scd: facts from the table, words
 * from the prose. Caller's side of clone().
 */
#include <errno.h>
#include <string.h>

#include "settings/dump.h"
#include "settings/table.h"

/* The paragraphs behind the line "@ID", up to the next "@"; NULL when there are none. */
static const char *find_prose(const char *prose, const char *id, size_t *ret_size)
{
	size_t length = strlen(id);

	for (const char *at = prose; at && *at; at = strstr(at, "\n@")) {
		const char *next;

		at += *at == '\n';
		if (*at != '@' || strncmp(at + 1, id, length) != 0 || at[length + 1] != '\n')
			continue;
		at += length + 2;
		next = strstr(at, "\n@");
		*ret_size = next ? (size_t)(next + 1 - at) : strlen(at);
		return at;
	}
	return NULL;
}

/* scdoc takes _ and * for emphasis. */
static void add_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (strchr("_*\\[", *s))
			buf_add_str(out, "\\");
		buf_add(out, s, 1);
	}
}

static void dump_option_names(struct buf *out, enum setting_id id)
{
	const char *separator = "";

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];

		if (name->id != id || (name->alias && !name->help))
			continue;
		if (name->short_option) {
			buf_printf(out, "%s*-%c*", separator, name->short_option);
			separator = ", ";
		}
		if (name->option) {
			buf_printf(out, "%s*--%s*", separator, name->option);
			add_escaped(out, name->metavar);
			separator = ", ";
		}
	}
	buf_add_str(out, "\n");
}

/* The body of an entry is indented by a tab. */
static void dump_body(struct buf *out, const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;

		if (stop > text)
			buf_add_str(out, "\t");
		buf_add(out, text, (size_t)(stop - text));
		buf_add_str(out, "\n");
		text = stop + 1;
	}
}

static int dump_entry_body(struct buf *out, enum setting_id id, const char *prose,
			   const char **ret_missing)
{
	size_t size;
	const char *text = find_prose(prose, setting_table[id].id, &size);

	if (!text) {
		*ret_missing = setting_table[id].id;
		return -ENOENT;
	}
	dump_body(out, text, size);
	buf_add_str(out, "\n");
	return 0;
}

static const struct setting_name *main_name(enum setting_id id)
{
	for (size_t i = 0; i < setting_name_count; i++)
		if (setting_names[i].id == id)
			return &setting_names[i];
	return NULL;
}

int settings_dump_man_options(struct buf *out, const char *prose, const char **ret_missing)
{
	size_t heading = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];
		int r;

		for (; heading < setting_heading_count && setting_headings[heading].first == i;
		     heading++)
			if (setting_headings[heading].text)
				buf_printf(out, "## %s\n\n", setting_headings[heading].text);
		if (!name->help || name->alias || setting_table[name->id].later)
			continue;
		dump_option_names(out, name->id);
		r = dump_entry_body(out, name->id, prose, ret_missing);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The sixteen limits share one entry. */
static bool is_further_limit(enum setting_id id)
{
	return id > SETTING_RLIMIT_CPU && id <= SETTING_RLIMIT_RTTIME;
}

static void dump_key_names(struct buf *out, enum setting_id id)
{
	if (id == SETTING_RLIMIT_CPU)
		for (int next = id; next <= SETTING_RLIMIT_RTTIME; next++)
			buf_printf(out, "%s*%s=*", next > (int)id ? ", " : "",
				   main_name((enum setting_id)next)->key);
	else
		buf_printf(out, "*%s=*", main_name(id)->key);
	if (setting_table[id].trust != SETTING_TRUST_ANY)
		buf_add_str(out, " (trusted files only)");
	buf_add_str(out, "\n");
}

static int dump_section(struct buf *out, const char *section, const char *prose,
			const char **ret_missing)
{
	buf_printf(out, "# SECTION %s\n\n", section);
	for (int i = 0; i < SETTING_COUNT; i++) {
		enum setting_id id = (enum setting_id)i;
		const char *in = main_name(id)->section;
		int r;

		if (!in || strcmp(in, section) != 0 || setting_table[id].later ||
		    is_further_limit(id))
			continue;
		dump_key_names(out, id);
		r = dump_entry_body(out, id, prose, ret_missing);
		if (r < 0)
			return r;
	}
	return 0;
}

static void dump_later_keys(struct buf *out)
{
	buf_add_str(out,
		    "# KEYS NOT HONOURED YET\n\n"
		    "A file may have these keys of *systemd.nspawn*(5); redd warns of each with "
		    "the place and the reason.\n\n");
	for (int id = 0; id < SETTING_COUNT; id++) {
		const struct setting_name *name = main_name((enum setting_id)id);

		if (!name->key || !setting_table[id].later)
			continue;
		buf_printf(out, "*%s=*\n\t", name->key);
		add_escaped(out, setting_table[id].later);
		buf_add_str(out, "\n\n");
	}
}

int settings_dump_man_keys(struct buf *out, const char *prose, const char **ret_missing)
{
	const char *sections[SETTING_SECTIONS_MAX + 1];

	setting_list_sections(sections);
	for (size_t i = 0; sections[i]; i++) {
		int r = dump_section(out, sections[i], prose, ret_missing);

		if (r < 0)
			return r;
	}
	dump_later_keys(out);
	return 0;
}
