// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compares closures. Pure functions of data. */
#include "nix/diff.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "nix/names.h"

/* A path of one closure, with the name of its package. */
struct part {
	const char *path_name;
	const char *package; /* `length` bytes */
	size_t length;
	const char *version;
	uint64_t bytes;
	bool in_to;
};

void nix_differences_done(struct nix_differences *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->items[i].name);
		(void)strv_free(d->items[i].from);
		(void)strv_free(d->items[i].to);
	}
	free(d->items);
	*d = (struct nix_differences){};
}

const char *nix_change_name(enum nix_change change)
{
	static const char *const names[] = {
		[NIX_CHANGE_ADDED] = "added",
		[NIX_CHANGE_REMOVED] = "removed",
		[NIX_CHANGE_VERSION] = "version",
		[NIX_CHANGE_REBUILT] = "rebuilt",
	};

	return names[change];
}

static void add_parts(struct part *parts, size_t *count, const struct nix_infos *infos, bool in_to)
{
	for (size_t i = 0; i < infos->count; i++) {
		struct part *part = &parts[(*count)++];

		*part = (struct part){.path_name = infos->items[i].name,
				      .bytes = infos->items[i].nar_bytes,
				      .in_to = in_to};
		part->package = nix_name_split(part->path_name, &part->length, &part->version);
	}
}

static int compare_packages(const struct part *a, const struct part *b)
{
	int r = memcmp(a->package, b->package, MIN(a->length, b->length));

	return r ? r : (a->length > b->length) - (a->length < b->length);
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int r = compare_packages(x, y);

	if (r == 0)
		r = strcmp(x->version, y->version);
	if (r == 0)
		r = strcmp(x->path_name, y->path_name);
	return r ? r : x->in_to - y->in_to;
}

static bool same_lists(char *const *a, char *const *b)
{
	size_t n = strv_length(a);

	if (n != strv_length(b))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!streq(a[i], b[i]))
			return false;
	}
	return true;
}

/* Compares one package. Parts are sorted: a path of both closures appears twice in a row. */
static int compare_package(const struct part *parts, size_t count, struct nix_difference *ret,
			   bool *ret_differs)
{
	bool differs = false;

	for (size_t i = 0; i < count; i++) {
		char ***versions = parts[i].in_to ? &ret->to : &ret->from;
		bool both = (i + 1 < count && streq(parts[i].path_name, parts[i + 1].path_name)) ||
			    (i > 0 && streq(parts[i].path_name, parts[i - 1].path_name));

		differs |= !both;
		ret->bytes += parts[i].in_to ? (int64_t)parts[i].bytes : -(int64_t)parts[i].bytes;
		if (!strv_contains(*versions, parts[i].version) &&
		    strv_add(versions, parts[i].version) < 0)
			return -ENOMEM;
	}
	*ret_differs = differs;
	if (!ret->from)
		ret->change = NIX_CHANGE_ADDED;
	else if (!ret->to)
		ret->change = NIX_CHANGE_REMOVED;
	else
		ret->change =
			same_lists(ret->from, ret->to) ? NIX_CHANGE_REBUILT : NIX_CHANGE_VERSION;
	ret->name = strndup(parts[0].package, parts[0].length);
	return ret->name ? 0 : -ENOMEM;
}

/* Counts the item at once, so that nix_differences_done() frees it after a failure. */
static int add_package(struct nix_differences *d, const struct part *parts, size_t count)
{
	struct nix_difference *item = &d->items[d->count++];
	bool differs = false;
	int r;

	*item = (struct nix_difference){};
	r = compare_package(parts, count, item, &differs);
	if (r < 0 || differs)
		return r;
	free(item->name);
	item->from = strv_free(item->from);
	item->to = strv_free(item->to);
	d->count--;
	return 0;
}

int nix_diff(const struct nix_infos *from, const struct nix_infos *to, struct nix_differences *ret)
{
	autodifferences struct nix_differences d = {};
	size_t count = 0, end;
	autofree struct part *parts = calloc(from->count + to->count + 1, sizeof(*parts));

	d.items = calloc(from->count + to->count + 1, sizeof(*d.items));
	if (!parts || !d.items)
		return -ENOMEM;
	add_parts(parts, &count, from, false);
	add_parts(parts, &count, to, true);
	qsort(parts, count, sizeof(*parts), compare_parts);
	for (size_t begin = 0; begin < count; begin = end) {
		int r;

		end = begin + 1;
		while (end < count && compare_packages(&parts[begin], &parts[end]) == 0)
			end++;
		r = add_package(&d, &parts[begin], end - begin);
		if (r < 0)
			return r;
	}
	*ret = d;
	d = (struct nix_differences){};
	return 0;
}
