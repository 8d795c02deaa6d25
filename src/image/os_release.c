// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads os-release files of images (P10). Must never expand variables or commands, as a shell
 * would. Caller's side of clone().
 */
#include "image/os_release.h"

#include <errno.h>
#include <stdbool.h>

#include "lib/path.h"

static bool key_is_valid(const char *key)
{
	if (!*key)
		return false;
	return key[strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789_")] == '\0';
}

/*
 * Takes the quoting of shell assignments off, in place. What follows a blank outside of quotes is
 * cut. False when a quote stays open.
 */
static bool unquote(char *value)
{
	char *to = value, quote = '\0';

	for (const char *p = value; *p; p++) {
		if (quote && *p == quote) {
			quote = '\0';
		} else if (!quote && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (*p == '\\' && quote != '\'' && p[1]) {
			/* Within "…" only these are escapes, else the backslash stays. */
			if (quote && !strchr("\"$`\\", p[1]))
				*to++ = *p;
			*to++ = *++p;
		} else if (!quote && (*p == ' ' || *p == '\t')) {
			break;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
	return quote == '\0';
}

static int parse_line(char *line, struct os_release *os)
{
	char *value;

	line = str_strip(line);
	value = strchr(line, '=');
	if (*line == '#' || !value)
		return 0;
	*value++ = '\0';
	if (!key_is_valid(line) || !unquote(value))
		return 0;
	return strv_add_owned(&os->pairs, str_printf("%s=%s", line, value));
}

int os_release_parse(char *text, struct os_release *ret)
{
	autocall(os_release_done) struct os_release os = {};
	char *line;

	while ((line = strsep(&text, "\n"))) {
		int r = parse_line(line, &os);

		if (r < 0)
			return r;
	}
	*ret = os;
	os = (struct os_release){};
	return 0;
}

int os_release_read(int root_fd, struct os_release *ret)
{
	autofree char *text = NULL;
	int r = path_read_in_root(root_fd, "etc/os-release", OS_RELEASE_MAX, &text, NULL);

	if (r == -ENOENT || r == -ENOTDIR)
		r = path_read_in_root(root_fd, "usr/lib/os-release", OS_RELEASE_MAX, &text, NULL);
	if (r < 0)
		return r == -ENOTDIR ? -ENOENT : r;
	return os_release_parse(text, ret);
}

const char *os_release_get(const struct os_release *os, const char *key)
{
	for (size_t i = strv_length(os->pairs); i > 0; i--) {
		const char *rest = str_after_prefix(os->pairs[i - 1], key);

		if (rest && *rest == '=')
			return rest + 1;
	}
	return NULL;
}

const char *os_release_pretty(const struct os_release *os)
{
	static const char *const keys[] = {"PRETTY_NAME", "NAME", "ID"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = os_release_get(os, keys[i]);

		if (!str_is_empty(value))
			return value;
	}
	return NULL;
}

void os_release_done(struct os_release *os)
{
	os->pairs = strv_free(os->pairs);
}
