/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * String vectors: NULL-terminated arrays of owned strings. Must never leave a vector half changed
 * after an error. Parent side of clone() only: it allocates.
 */
#include <errno.h>

#include "lib/str.h"

size_t strv_length(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

bool strv_contains(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (streq(*v, s))
			return true;
	return false;
}

int strv_add_owned(char ***v, char *s)
{
	size_t n = strv_length(*v);
	char **grown;

	if (!s)
		return -ENOMEM;
	/* Grow only when n is 0 or a power of two: adding many stays linear without a field for it.
	 */
	if ((n & (n - 1)) == 0) {
		grown = reallocarray(*v, n ? 2 * n + 1 : 2, sizeof(*grown));
		if (!grown) {
			free(s);
			return -ENOMEM;
		}
		*v = grown;
	}
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
	return 0;
}

int strv_add(char ***v, const char *s)
{
	return strv_add_owned(v, strdup(s));
}

char **strv_copy(char *const *v)
{
	autostrv char **copy = NULL;

	for (; v && *v; v++)
		if (strv_add(&copy, *v) < 0)
			return NULL;
	return take_ptr(copy);
}

char **strv_free(char **v)
{
	int saved = errno;

	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
	errno = saved;
	return NULL;
}

char *strv_join(char *const *v, const char *separator)
{
	autobuf struct buf b = {};
	char *joined;

	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			buf_add_str(&b, separator);
		buf_add_str(&b, v[i]);
	}
	return buf_take(&b, &joined) < 0 ? NULL : joined;
}

int strv_split(const char *s, const char *separators, char ***ret)
{
	autostrv char **v = NULL;

	for (;;) {
		size_t length;
		int r;

		s += strspn(s, separators);
		if (!*s)
			break;
		length = strcspn(s, separators);
		r = strv_add_owned(&v, strndup(s, length));
		if (r < 0)
			return r;
		s += length;
	}
	*ret = take_ptr(v);
	return 0;
}

/* Reads a quoted part, `*s` behind its opening quote; leaves it behind the closing one. */
static int read_quoted(const char **s, char quote, struct buf *word)
{
	for (; **s != quote; (*s)++) {
		if (!**s)
			return -EINVAL;
		if (quote == '"' && **s == '\\' && (*s)[1] && strchr("\"\\$`", (*s)[1]))
			(*s)++;
		buf_add(word, *s, 1);
	}
	(*s)++;
	return 0;
}

static int read_word(const char **s, const char *blanks, struct buf *word)
{
	while (**s && !strchr(blanks, **s)) {
		char c = *(*s)++;

		if (c == '\'' || c == '"') {
			int r = read_quoted(s, c, word);

			if (r < 0)
				return r;
			continue;
		}
		if (c == '\\') {
			c = *(*s)++;
			if (!c)
				return -EINVAL;
		}
		buf_add(word, &c, 1);
	}
	return 0;
}

int strv_split_quoted(const char *s, char ***ret)
{
	static const char blanks[] = " \t\n\r";
	autostrv char **v = NULL;

	for (s += strspn(s, blanks); *s; s += strspn(s, blanks)) {
		autobuf struct buf word = {};
		char *taken;
		int r = read_word(&s, blanks, &word);

		if (r < 0)
			return r;
		r = buf_take(&word, &taken);
		if (r < 0)
			return r;
		r = strv_add_owned(&v, taken);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(v);
	return 0;
}
