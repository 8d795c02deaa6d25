/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single strings: tests, copies, making them safe for a terminal, and guessing what was meant.
 * Must never print or exit. Parent side of clone() only: it allocates.
 */
#include "lib/str.h"

#include <errno.h>
#include <stdio.h>

/* Longer words are no option, verb or key of ours: no suggestion is worth the time. */
#define NEAREST_WORD_MAX 63

const char *str_after_prefix(const char *s, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(s, prefix, length) == 0 ? s + length : NULL;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t length = strlen(s), suffix_length = strlen(suffix);

	return length >= suffix_length && streq(s + length - suffix_length, suffix);
}

bool str_is_empty(const char *s)
{
	return !s || !*s;
}

char *str_vprintf(const char *fmt, va_list args)
{
	char *s;

	return vasprintf(&s, fmt, args) < 0 ? NULL : s;
}

char *str_printf(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	s = str_vprintf(fmt, args);
	va_end(args);
	return s;
}

int str_replace(char **dst, const char *s)
{
	char *copy = NULL;

	if (s) {
		copy = strdup(s);
		if (!copy)
			return -ENOMEM;
	}
	free(*dst);
	*dst = copy;
	return 0;
}

char *str_strip(char *s)
{
	static const char blanks[] = " \t\n\v\f\r";
	size_t length;

	s += strspn(s, blanks);
	length = strlen(s);
	while (length > 0 && strchr(blanks, s[length - 1]))
		length--;
	s[length] = '\0';
	return s;
}

static size_t utf8_sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

size_t utf8_decode(const char *s, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t length = utf8_sequence_length((unsigned char)*s);
	uint32_t c = (unsigned char)*s & mask[length];

	if (length == 0)
		return 0;
	for (size_t i = 1; i < length; i++) {
		/* The NUL at the end is no continuation byte: never read past it. */
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return length;
}

bool utf8_is_unsafe(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} unsafe[] = {
		{0x00, 0x1f},	  {0x7f, 0x9f},	    {0x061c, 0x061c},
		{0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
		{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	};

	for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
		if (c >= unsafe[i].first && c <= unsafe[i].last)
			return true;
	return false;
}

char *str_escape(const char *s)
{
	autobuf struct buf b = {};
	char *escaped;

	while (*s) {
		uint32_t c = 0;
		size_t length = utf8_decode(s, &c);

		if (length > 0 && !utf8_is_unsafe(c)) {
			buf_add(&b, s, length);
			s += length;
		} else if (length > 1) {
			buf_printf(&b, "\\u{%04x}", (unsigned)c);
			s += length;
		} else {
			buf_printf(&b, "\\x%02x", (unsigned char)*s);
			s++;
		}
	}
	return buf_take(&b, &escaped) < 0 ? NULL : escaped;
}

/* Edit distance where swapping two neighbours counts once; rows of the usual matrix, three kept. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][NEAREST_WORD_MAX + 1];

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3],
		       *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = MIN(row[j], above[j] + 1);
			row[j] = MIN(row[j], row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

const char *str_nearest(const char *word, const char *const *candidates)
{
	size_t length = strlen(word), nearest = MAX(length / 3, (size_t)1) + 1;
	const char *found = NULL;

	if (length < 2 || length > NEAREST_WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t candidate_length = strlen(*candidates), distance;

		if (candidate_length > NEAREST_WORD_MAX)
			continue;
		distance = edit_distance(word, length, *candidates, candidate_length);
		if (distance < nearest) {
			nearest = distance;
			found = *candidates;
		}
	}
	return found;
}
