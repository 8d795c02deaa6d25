/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms of --bind= and --tmpfs=. Must never look at a path, only at its text. Caller's side of
 * clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "settings/value.h"

#define TMPFS_OPTIONS "mode=0755"

void value_bind_done(struct value_bind *bind)
{
	free(bind->source);
	free(bind->target);
	*bind = (struct value_bind){};
}

void value_tmpfs_done(struct value_tmpfs *tmpfs)
{
	free(tmpfs->target);
	free(tmpfs->options);
	*tmpfs = (struct value_tmpfs){};
}

/* The part up to the next ':' without a backslash before it; *text ends behind it, or is NULL. */
static int split_part(const char **text, char **ret)
{
	autobuf struct buf part = {};
	const char *s = *text;

	for (; *s && *s != ':'; s++) {
		if (*s == '\\' && s[1])
			s++;
		buf_add(&part, s, 1);
	}
	*text = *s ? s + 1 : NULL;
	return buf_take(&part, ret);
}

/* Absolute and without "..": a "." or a double slash is tidied away. */
static int normalize(const char *path, char **ret)
{
	char *simple = path_simplify(path);

	if (!simple)
		return -ENOMEM;
	if (!path_is_normalized(simple)) {
		free(simple);
		return -EINVAL;
	}
	*ret = simple;
	return 0;
}

static int parse_bind_option(const char *word, struct value_bind *bind)
{
	static const struct {
		const char *word;
		enum value_idmap idmap;
	} idmaps[] = {
		{"noidmap", VALUE_IDMAP_NONE},
		{"idmap", VALUE_IDMAP_IDMAP},
		{"rootidmap", VALUE_IDMAP_ROOT},
		{"owneridmap", VALUE_IDMAP_OWNER},
	};

	if (streq(word, "rbind") || streq(word, "norbind")) {
		bind->recursive = streq(word, "rbind");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(idmaps); i++)
		if (streq(word, idmaps[i].word)) {
			bind->idmap = idmaps[i].idmap;
			return 0;
		}
	return -EINVAL;
}

static int parse_bind_options(const char *text, struct value_bind *bind)
{
	autostrv char **words = NULL;
	int r = strv_split(text, ",", &words);

	for (size_t i = 0; r >= 0 && words && words[i]; i++)
		r = parse_bind_option(words[i], bind);
	return r;
}

int value_parse_bind(const char *text, struct value_bind *ret)
{
	autocall(value_bind_done) struct value_bind bind = {.recursive = true};
	autofree char *source = NULL, *target = NULL;
	const char *path;
	int r = split_part(&text, &source);

	if (r >= 0 && text)
		r = split_part(&text, &target);
	if (r < 0)
		return r;
	if (str_is_empty(source))
		return -EOPNOTSUPP;
	path = source;
	if (*path == '+') {
		bind.source_in_image = true;
		path++;
	}
	r = normalize(path, &bind.source);
	if (r >= 0)
		r = normalize(str_is_empty(target) ? path : target, &bind.target);
	if (r >= 0 && text)
		r = parse_bind_options(text, &bind);
	if (r < 0)
		return r;
	*ret = bind;
	bind = (struct value_bind){};
	return 0;
}

int value_parse_tmpfs(const char *text, struct value_tmpfs *ret)
{
	autocall(value_tmpfs_done) struct value_tmpfs tmpfs = {};
	autofree char *target = NULL;
	int r = split_part(&text, &target);

	if (r < 0)
		return r;
	r = normalize(target, &tmpfs.target);
	if (r < 0)
		return r;
	tmpfs.options = strdup(str_is_empty(text) ? TMPFS_OPTIONS : text);
	if (!tmpfs.options)
		return -ENOMEM;
	*ret = tmpfs;
	tmpfs = (struct value_tmpfs){};
	return 0;
}

int value_check_bind(const char *text)
{
	autocall(value_bind_done) struct value_bind bind = {};

	return value_parse_bind(text, &bind);
}

int value_check_tmpfs(const char *text)
{
	autocall(value_tmpfs_done) struct value_tmpfs tmpfs = {};

	return value_parse_tmpfs(text, &tmpfs);
}
