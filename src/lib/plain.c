/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Terminal output as plain text. Must never let a control byte through. Quiet, both sides of
 * clone().
 */
#include <stdlib.h>

#include "lib/str.h"

#define ESC 0x1b
#define BEL 0x07

/* Behind "ESC [": parameters, then one final byte of 0x40 to 0x7e (ECMA-48, 5.4). */
static const char *skip_csi(const char *s)
{
	while (*s >= 0x20 && *s < 0x40)
		s++;
	return *s >= 0x40 && *s < 0x7f ? s + 1 : s;
}

/* Behind "ESC ]", "ESC P" and the like: up to BEL or "ESC \" (ECMA-48, 5.6). */
static const char *skip_string(const char *s)
{
	while (*s && *s != BEL && *s != ESC)
		s++;
	if (*s == ESC && s[1] == '\\')
		return s + 2;
	return *s == BEL ? s + 1 : s;
}

static const char *skip_sequence(const char *s)
{
	switch (*s) {
	case '\0':
		return s;
	case '[':
		return skip_csi(s + 1);
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		return skip_string(s + 1);
	default:
		/* Intermediate bytes, as in "ESC ( B", and a final one. */
		while (*s >= 0x20 && *s < 0x30)
			s++;
		return *s ? s + 1 : s;
	}
}

char *str_plain(const char *s)
{
	autofree char *copy = malloc(strlen(s) + 1);
	char *to = copy;

	if (!copy)
		return NULL;
	while (*s) {
		if (*s == ESC)
			s = skip_sequence(s + 1);
		else
			*to++ = *s++;
	}
	*to = '\0';
	return str_escape(copy);
}
