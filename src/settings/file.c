/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the text of a .nspawn file, which may be hostile: bounded in lines, warnings and memory.
 * Must never take a privileged setting from an untrusted text (S01), and never passes a line over
 * in silence. Caller's side of clone().
 */
#include "settings/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "log/log.h"
#include "settings/table.h"

struct reader {
	struct settings *settings;
	const struct settings_text *text;
	const char *next; /* the first byte not read */
	unsigned line;	  /* number of the physical line last read */
	unsigned first;	  /* where the logical line at hand began */
	char *section;	  /* NULL: before any */
	bool skip;	  /* the section isn't ours, all in it is passed over */
	size_t warnings;
};

static void reader_done(struct reader *reader)
{
	free(reader->section);
}

/* "FILE:LINE: message". */
static PRINTF_LIKE(2, 3) void warn(struct reader *reader, const char *fmt, ...)
{
	autofree char *message = NULL;
	va_list args;

	if (reader->warnings++ >= SETTINGS_WARNINGS_MAX)
		return;
	va_start(args, fmt);
	message = str_vprintf(fmt, args);
	va_end(args);
	if (message)
		log_warning("%s:%u: %s", reader->text->path, reader->first, message);
}

static void warn_of_the_rest(const struct reader *reader)
{
	if (reader->warnings > SETTINGS_WARNINGS_MAX)
		log_warning("%s: %zu more lines are ignored", reader->text->path,
			    reader->warnings - SETTINGS_WARNINGS_MAX);
}

/* The bytes of the next physical line, without its end; false at the end of the text. */
static bool next_physical_line(struct reader *reader, const char **ret, size_t *ret_size)
{
	const char *end = reader->text->data + reader->text->size, *newline;
	size_t size;

	if (reader->next == end)
		return false;
	newline = memchr(reader->next, '\n', (size_t)(end - reader->next));
	size = (size_t)((newline ? newline : end) - reader->next);
	*ret = reader->next;
	reader->next = newline ? newline + 1 : end;
	reader->line++;
	/* A file from Windows. */
	if (size > 0 && (*ret)[size - 1] == '\r')
		size--;
	*ret_size = size;
	return true;
}

static bool is_comment(const char *line, size_t size)
{
	size_t blanks = 0;

	while (blanks < size && (line[blanks] == ' ' || line[blanks] == '\t'))
		blanks++;
	return blanks < size && (line[blanks] == '#' || line[blanks] == ';');
}

/* An even number of backslashes at the end is so many backslashes, not a continuation. */
static bool is_continued(const char *line, size_t size)
{
	size_t backslashes = 0;

	while (backslashes < size && line[size - 1 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

/*
 * Joins a line with those that continue it; comments in between are dropped, the backslash is a
 * blank. 1, 0 at the end of the text, or -ENOMEM.
 */
static int next_line(struct reader *reader, struct buf *line)
{
	bool started = false, continued = true;
	const char *bytes;
	size_t size;

	while (continued && next_physical_line(reader, &bytes, &size)) {
		if (is_comment(bytes, size))
			continue;
		if (!started)
			reader->first = reader->line;
		started = true;
		continued = is_continued(bytes, size);
		/* One byte over the limit is kept, so that the caller sees it. */
		if (line->size <= SETTINGS_LINE_MAX)
			buf_add(line, bytes, MIN(size, SETTINGS_LINE_MAX + 1 - line->size));
		if (continued && line->size > 0 && line->data[line->size - 1] == '\\')
			line->data[line->size - 1] = ' ';
	}
	return line->error < 0 ? line->error : started;
}

/* Nothing that commands a terminal, no broken UTF-8: then escaping changes nothing (but for tabs).
 */
static bool is_clean_text(const char *line)
{
	autofree char *copy = strdup(line), *escaped = NULL;

	for (char *c = copy; c && *c; c++)
		if (*c == '\t')
			*c = ' ';
	escaped = copy ? str_escape(copy) : NULL;
	return escaped && streq(copy, escaped);
}

static int read_section(struct reader *reader, char *line)
{
	size_t length = strlen(line);
	const char *nearest;
	int r;

	/* Whatever comes of it: what follows doesn't belong to the section before. */
	reader->skip = true;
	if (line[length - 1] != ']') {
		warn(reader,
		     "%.80s: the section's name isn't closed by \"]\"; its keys are ignored", line);
		return 0;
	}
	line[length - 1] = '\0';
	r = str_replace(&reader->section, line + 1);
	if (r < 0)
		return log_oom();
	reader->skip = !setting_section_is_known(reader->section);
	if (!reader->skip)
		return 0;
	nearest = setting_nearest_section(reader->section);
	/* Sections X-… belong to other programs, unless one is a misspelt name of ours. */
	if (str_after_prefix(reader->section, "X-") &&
	    !(nearest && str_after_prefix(nearest, "X-")))
		return 0;
	if (nearest)
		warn(reader, "[%s]: unknown section, its keys are ignored; did you mean [%s]?",
		     reader->section, nearest);
	else
		warn(reader, "[%s]: unknown section, its keys are ignored", reader->section);
	return 0;
}

static void warn_of_unknown_key(struct reader *reader, const char *key)
{
	const char *section = setting_section_of_key(key);
	const char *nearest = setting_nearest_key(reader->section, key);

	if (str_after_prefix(key, "X-"))
		return;
	if (section)
		warn(reader, "%s: ignored, it belongs in section [%s]", key, section);
	else if (nearest)
		warn(reader, "%s: unknown key, ignored; did you mean %s?", key, nearest);
	else
		warn(reader, "%s: unknown key in section [%s], ignored", key, reader->section);
}

static int store(struct reader *reader, const struct setting_name *name, const char *text)
{
	const struct setting_type_info *type = &setting_types[setting_table[name->id].type];
	autofree char *origin = NULL;
	int r = type->check(text);

	if (r == -ENOMEM)
		return log_oom();
	if (r == -EOPNOTSUPP) {
		warn(reader,
		     "%s: ignored, an empty source (a temporary directory) is not supported yet",
		     name->key);
		return 0;
	}
	if (r < 0) {
		warn(reader, "%s: ignored, \"%.80s\" isn't %s", name->key, text, type->form);
		return 0;
	}
	origin = str_printf("%s:%u: %s", reader->text->path, reader->first, name->key);
	if (!origin)
		return log_oom();
	r = settings_add(reader->settings, name->id,
			 &(struct setting_value){
				 .text = (char *)text,
				 .origin = origin,
				 .source = SETTING_FROM_FILE,
			 });
	return r < 0 ? log_oom() : 0;
}

static int store_words(struct reader *reader, const struct setting_name *name, const char *text)
{
	autostrv char **words = NULL;
	int r = strv_split_quoted(text, &words);

	if (r == -EINVAL) {
		warn(reader, "%s: ignored, a quote or a backslash at the end is left open",
		     name->key);
		return 0;
	}
	if (r < 0)
		return log_oom();
	for (char **word = words; word && *word; word++) {
		r = store(reader, name, *word);
		if (r < 0)
			return r;
	}
	return 0;
}

/* May this key be taken from here at all? Says why not. */
static bool is_allowed(struct reader *reader, const struct setting_name *name)
{
	const struct setting *setting = &setting_table[name->id];

	if (!reader->text->trusted && setting->trust != SETTING_TRUST_ANY) {
		warn(reader,
		     "%s: ignored, a file beside an image isn't trusted with it; it counts in a "
		     "file in %s",
		     name->key, reader->text->trusted_dir);
		return false;
	}
	/* Kept all the same: some imply what must not be lost with them (see the spec, networks).
	 */
	if (setting->later)
		warn(reader, "%s: not supported yet: %s", name->key, setting->later);
	return true;
}

static int read_assignment(struct reader *reader, char *line)
{
	char *equals = strchr(line, '=');
	const struct setting_name *name;
	char *key, *value;

	if (!equals || equals == line) {
		warn(reader, "%.80s: ignored, this isn't KEY=VALUE", line);
		return 0;
	}
	*equals = '\0';
	key = str_strip(line);
	value = str_strip(equals + 1);
	if (!reader->section) {
		warn(reader, "%s: ignored, it stands before any [Section]", key);
		return 0;
	}
	name = setting_by_key(reader->section, key);
	if (!name) {
		warn_of_unknown_key(reader, key);
		return 0;
	}
	if (!is_allowed(reader, name))
		return 0;
	/* As in all of systemd's files: an empty assignment forgets what came before. */
	if (!*value) {
		settings_clear(reader->settings, name->id);
		return 0;
	}
	if (setting_types[setting_table[name->id].type].items == SETTING_ITEMS_SPLIT)
		return store_words(reader, name, value);
	return store(reader, name, value);
}

static int read_line(struct reader *reader, struct buf *line)
{
	char *stripped;

	if (line->size > SETTINGS_LINE_MAX) {
		warn(reader, "ignored, the line has more than %d bytes", SETTINGS_LINE_MAX);
		return 0;
	}
	if (line->size == 0)
		return 0;
	if (memchr(line->data, '\0', line->size) || !is_clean_text(line->data)) {
		warn(reader, "ignored, the line holds control bytes or isn't UTF-8");
		return 0;
	}
	stripped = str_strip(line->data);
	if (!*stripped)
		return 0;
	if (*stripped == '[')
		return read_section(reader, stripped);
	/* Keys of foreign sections are theirs. */
	return reader->skip ? 0 : read_assignment(reader, stripped);
}

/* 1, 0 at the end of the text, or -ENOMEM. */
static int read_next(struct reader *reader)
{
	autobuf struct buf line = {};
	int r = next_line(reader, &line);

	if (r < 0)
		return log_oom();
	if (r == 0)
		return 0;
	r = read_line(reader, &line);
	return r < 0 ? r : 1;
}

int settings_read_text(struct settings *settings, const struct settings_text *text)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	autocall(reader_done) struct reader reader = {
		.settings = settings,
		.text = text,
		.next = text->data,
	};
	int r;

	if (text->size >= 3 && memcmp(text->data, byte_order_mark, 3) == 0)
		reader.next += 3;
	do
		r = read_next(&reader);
	while (r > 0);
	warn_of_the_rest(&reader);
	return r;
}
