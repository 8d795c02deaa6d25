/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strings, string vectors and a growing buffer. Quiet: returns -ENOMEM and the like, never prints.
 * A strv is a NULL-terminated array of owned strings; NULL is an empty one.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/macro.h"

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Equal, where NULL equals only NULL. */
static inline bool streq_null(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

/* Returns what follows `prefix` in `s`, or NULL when `s` does not begin with it. */
const char *str_after_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
bool str_is_empty(const char *s); /* NULL or "" */

/* A new string, or NULL when there is no memory. */
char *str_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *str_vprintf(const char *fmt, va_list args) PRINTF_LIKE(1, 0);

/* Replaces *dst (freed) by a copy of s (may be NULL). 0 or -ENOMEM. */
int str_replace(char **dst, const char *s);

/* Removes white space at both ends, in place; returns a pointer into `s`. */
char *str_strip(char *s);

/*
 * For people's eyes: every byte that a terminal could take as a command (C0, C1, DEL), broken
 * UTF-8 and bidirectional overrides become \xNN or \u{NNNN}. A new string or NULL.
 */
char *str_escape(const char *s);

/* Decodes one code point (RFC 3629): its length in bytes, or 0 when broken or over-long. */
size_t utf8_decode(const char *s, uint32_t *ret);
/* Code points that command the terminal, break the line, or reorder the text around them. */
bool utf8_is_unsafe(uint32_t c);

/* What a terminal would show of it: colours, titles and the like dropped, the rest as str_escape().
 */
char *str_plain(const char *s);

/* The candidate nearest to `word` in edit distance when it is near enough to be meant, or NULL. */
const char *str_nearest(const char *word, const char *const *candidates);

size_t strv_length(char *const *v);
bool strv_contains(char *const *v, const char *s);
int strv_add(char ***v, const char *s); /* copies s; 0 or -ENOMEM */
int strv_add_owned(char ***v, char *s); /* takes s, also on error; NULL s is -ENOMEM */
char **strv_copy(char *const *v);	/* NULL for an empty v too: check strv_length(v) */
char **strv_free(char **v);		/* always NULL */
char *strv_join(char *const *v, const char *separator); /* a new string or NULL */
/* Splits at any byte of `separators`; empty pieces are dropped. 0 or -ENOMEM. */
int strv_split(const char *s, const char *separators, char ***ret);
/* Splits words as a shell does: quotes '…' and "…", backslash. -EINVAL for an open quote. */
int strv_split_quoted(const char *s, char ***ret);

static inline void strv_freep(char ***v)
{
	(void)strv_free(*v);
}
#define autostrv autocall(strv_freep)

/* A growing byte buffer, always NUL-terminated; an out-of-memory is sticky in `error`. */
struct buf {
	char *data;
	size_t size;	 /* bytes used, without the NUL */
	size_t capacity; /* bytes allocated */
	int error;	 /* 0 or -ENOMEM */
};

void buf_add(struct buf *b, const void *data, size_t size);
void buf_add_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Gives the string away (never NULL on success); 0 or -ENOMEM. The buffer is empty afterwards. */
int buf_take(struct buf *b, char **ret);
void buf_done(struct buf *b);
#define autobuf autocall(buf_done)
