/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks up names in the files of a tree that may be hostile. Must never ask NSS, which answers for
 * this host. Runs in the worker.
 */
#include "transfer/import/accounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/userdb.h"

static int row_compare(const void *a, const void *b)
{
	const struct account *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	/*
	 * The first line with a name counts. All names point into one text, so pointers tell the
	 * order.
	 */
	return order != 0 ? order : (x->name > y->name) - (x->name < y->name);
}

/* name:password:number:… in both files. */
static int row_parse(char *line, struct account *ret)
{
	const char *name = strsep(&line, ":");
	const char *password = name ? strsep(&line, ":") : NULL;
	const char *number = password ? strsep(&line, ":") : NULL;

	/* Something must follow the number. */
	return number && line ? parse_uid(number, &ret->id) : -EINVAL;
}

static int names_parse(struct account_list *n)
{
	char *line, *rest = n->text;
	size_t lines = 1;

	for (const char *at = n->text; (at = strchr(at, '\n')); at++)
		lines++;
	n->rows = calloc(lines, sizeof(*n->rows));
	if (!n->rows)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n"))) {
		struct account *row = &n->rows[n->count];

		row->name = line;
		if (row_parse(line, row) == 0 && row->name[0])
			n->count++;
	}
	qsort(n->rows, n->count, sizeof(*n->rows), row_compare);
	return 0;
}

static int names_read_file(int root_fd, const char *path, struct account_list *n)
{
	int r = path_read_in_root(root_fd, path, USERDB_FILE_MAX, &n->text, NULL);

	if (r == -ENOMEM)
		return r;
	return r < 0 ? 0 : names_parse(n);
}

int accounts_read(int root_fd, struct accounts *ret)
{
	struct accounts names = {};
	int r = names_read_file(root_fd, ACCOUNTS_USERS, &names.users);

	if (r == 0)
		r = names_read_file(root_fd, ACCOUNTS_GROUPS, &names.groups);
	if (r < 0)
		accounts_done(&names);
	else
		*ret = names;
	return r;
}

void accounts_done(struct accounts *names)
{
	free(names->users.text);
	free(names->users.rows);
	free(names->groups.text);
	free(names->groups.rows);
	*names = (struct accounts){};
}

int account_find(const struct account_list *names, const char *name, uint32_t *ret_id)
{
	size_t low = 0, high = names->count;

	/* Find the first of several equal names; bsearch(3) would find any of them. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->rows[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < names->count && streq(names->rows[low].name, name)) {
		*ret_id = names->rows[low].id;
		return 0;
	}
	if (!streq(name, "root"))
		return -ESRCH;
	*ret_id = 0;
	return 0;
}
