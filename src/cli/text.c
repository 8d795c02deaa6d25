// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Widths of text, and JSON that is safe to look at. Must never depend on the locale (the static
 * build has none). Caller's side of clone().
 */
#include "cli/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

/* Moves on by at least one byte: what is broken counts as one sign. */
static uint32_t next_char(const char **s)
{
	uint32_t c = '?';
	size_t n = utf8_decode(*s, &c);

	*s += MAX(n, (size_t)1);
	return c;
}

/* The blocks of Unicode 15 that matter in names; a wrong guess only shifts a column. */
static size_t char_width(uint32_t c)
{
	static const struct range none[] = {{0x300, 0x36f},
					    {0x200b, 0x200f},
					    {0x20d0, 0x20ff},
					    {0xfe00, 0xfe0f},
					    {0xfeff, 0xfeff}};
	static const struct range wide[] = {
		{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
		{0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
		{0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};

	if (c < 0x300)
		return 1;
	if (in_ranges(c, none, ARRAY_SIZE(none)))
		return 0;
	return in_ranges(c, wide, ARRAY_SIZE(wide)) ? 2 : 1;
}

/* The bytes up to the first that is not ASCII, or is DEL. */
static size_t ascii_length(const char *s)
{
	size_t n = 0;

	while (s[n] && !(s[n] & 0x80) && s[n] != 0x7f)
		n++;
	return n;
}

size_t text_width(const char *s)
{
	size_t width = 0;

	while (*s) {
		size_t n = ascii_length(s);

		width += n;
		s += n;
		if (*s)
			width += char_width(next_char(&s));
	}
	return width;
}

void text_add_cut(struct buf *b, const char *s, size_t width)
{
	const char *end = s;
	size_t used = 0;

	if (text_width(s) <= width) {
		buf_add_str(b, s);
		return;
	}
	if (width == 0)
		return;
	for (const char *p = s; *p; end = p) {
		used += char_width(next_char(&p));
		if (used > width - 1)
			break;
	}
	buf_add(b, s, (size_t)(end - s));
	buf_add_str(b, "…");
}

size_t text_terminal_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)))
		return SIZE_MAX;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return SIZE_MAX;
	return size.ws_col;
}

bool text_wants_color(FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return str_is_empty(no_color) && term && !streq(term, "dumb") && isatty(fileno(out));
}

static bool is_valid_utf8(const char *s)
{
	uint32_t c;

	while (*s) {
		size_t n = utf8_decode(s, &c);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

struct json_object *json_from_text(const char *s)
{
	autofree char *escaped = NULL;

	if (!s || is_valid_utf8(s))
		return s ? json_object_new_string(s) : NULL;
	escaped = str_escape(s);
	return escaped ? json_object_new_string(escaped) : NULL;
}

/* UTF-16, as JSON has it. */
static void add_json_escape(struct buf *b, uint32_t c)
{
	if (c < 0x10000)
		buf_printf(b, "\\u%04x", c);
	else
		buf_printf(b, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

int json_print(FILE *out, struct json_object *value, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
	autobuf struct buf b = {};
	const char *s;

	flags |= pretty ? JSON_C_TO_STRING_PRETTY : JSON_C_TO_STRING_PLAIN;
	s = json_object_to_json_string_ext(value, flags);
	if (!s)
		return -ENOMEM;
	while (*s) {
		size_t plain = ascii_length(s);
		uint32_t c;

		buf_add(&b, s, plain);
		s += plain;
		if (!*s)
			break;
		plain = utf8_decode(s, &c);
		/* Outside of strings JSON is ASCII, and in them json-c has escaped what is below.
		 */
		if (plain == 0 || utf8_is_unsafe(c))
			add_json_escape(&b, plain == 0 ? 0xfffd : c);
		else
			buf_add(&b, s, plain);
		s += MAX(plain, (size_t)1);
	}
	buf_add_str(&b, "\n");
	if (b.error < 0)
		return b.error;
	errno = 0;
	if (fwrite(b.data, 1, b.size, out) != b.size || fflush(out) != 0)
		return errno > 0 ? -errno : -EIO;
	return 0;
}
