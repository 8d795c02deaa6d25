// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nix generations, delete-generations, diff: the generations of a machine. None needs the machine
 * to run. Caller's side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/nix.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "nix/diff.h"
#include "nix/info.h"
#include "nix/names.h"
#include "nix/nix.h"
#include "nix/select.h"

struct generation_list {
	struct nix_generation *items;
	size_t count;
};

static void generation_list_done(struct generation_list *list)
{
	nix_generations_free(list->items, list->count);
}

#define autolist autocall(generation_list_done)

static const struct table_column generation_columns[] = {
	{"GENERATION", "generation", true},
	{"CREATED", "created", false},
	{"VERSION", "version", false},
	{"SYSTEM", "system", false},
	{"CURRENT", "current", false},
	{"BOOTED", "booted", false},
	{NULL, "path", false},
	{NULL, "exists", false},
};

static void add_generation(struct table *t, const struct nix_generation *one)
{
	autofree char *version = nix_system_version(one->store_path);
	const char *name = nix_name_of_path(one->store_path);
	bool there = faccessat(AT_FDCWD, one->store_path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	table_add_u64(t, one->number);
	table_add_time(t, one->created_us);
	table_add_text(t, there ? version : "(gone)");
	table_add_text(t, name ? nix_name_without_hash(name) : one->store_path);
	table_add_bool(t, one->is_current);
	table_add_bool(t, one->is_booted);
	table_add_text(t, one->store_path);
	table_add_bool(t, there);
}

int verb_nix_generations(const struct cli *cli, int argc, char *argv[])
{
	autotable struct table *t = table_new(generation_columns, ARRAY_SIZE(generation_columns));
	autolist struct generation_list list = {};
	int r = nix_generations_list(argv[1], &list.items, &list.count);

	if (r < 0)
		return cli_exit_code(r);
	for (size_t i = 0; i < list.count; i++)
		add_generation(t, &list.items[i]);
	r = table_print(t, stdout, cli, "generation", "generations");
	return cli_exit_code(r < 0 ? log_errno(r, "print the generations") : 0);
}

/* A generation in use is an error when named by its number; "old" and the like skip it. */
static bool is_named(const struct nix_generation *one, char *const words[])
{
	uint32_t n;

	for (; *words; words++) {
		if (parse_u32(*words, &n) == 0 && n == one->number)
			return true;
	}
	return false;
}

static int delete_selected(const struct cli *cli, const char *machine,
			   const struct generation_list *list, const bool *selected,
			   char *const words[])
{
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct nix_generation *one = &list->items[i];
		int r;

		if (!selected[i])
			continue;
		if (one->is_booted && !is_named(one, words)) {
			log_info("generation %u is kept: machine '%s' has booted it", one->number,
				 machine);
			continue;
		}
		r = nix_generation_delete(machine, one->number);
		result = r < 0 ? r : result;
		if (r >= 0 && !cli->quiet)
			log_info("deleted generation %u of machine '%s'", one->number, machine);
	}
	return result;
}

int verb_nix_delete_generations(const struct cli *cli, int argc, char *argv[])
{
	autolist struct generation_list list = {};
	autofree bool *selected = NULL;
	const char *bad = NULL;
	int r = nix_generations_list(argv[1], &list.items, &list.count);

	if (r < 0)
		return cli_exit_code(r);
	r = nix_generations_select(list.items, list.count, argv + 2, time_realtime_us(), &selected,
				   &bad);
	if (r == -ENOENT)
		return cli_exit_code(
			log_error(r, "machine '%s' has no generation %s", argv[1], bad));
	if (r == -ENOMEM)
		return cli_exit_code(log_oom());
	if (r < 0) {
		(void)log_error(r, "'%s' does not name a generation", bad);
		log_hint(
			"a number, 'old', '+5' (keep the last five) or '30d' (older than 30 days)");
		return CLI_EXIT_USAGE;
	}
	return cli_exit_code(delete_selected(cli, argv[1], &list, selected, argv + 2));
}

static const struct table_column diff_columns[] = {
	{"PACKAGE", "package", false}, {"CHANGE", "change", false}, {"FROM", "from", false},
	{"TO", "to", false},	       {"SIZE", "size", true},
};

static const struct nix_generation *find_generation(const struct generation_list *list,
						    unsigned number)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].number == number)
			return &list->items[i];
	}
	return NULL;
}

/* The newest before `number`. */
static unsigned number_before(const struct generation_list *list, unsigned number)
{
	unsigned found = 0;

	for (size_t i = 0; i < list->count && list->items[i].number < number; i++)
		found = list->items[i].number;
	return found;
}

static int choose_pair(const struct generation_list *list, int argc, char *argv[],
		       const struct nix_generation *ret[2])
{
	unsigned numbers[2] = {0, 0};

	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].is_current)
			numbers[1] = list->items[i].number;
	}
	for (int i = 2; i < argc; i++) {
		if (nix_parse_generation(argv[i], &numbers[i - 2]) < 0)
			return -EINVAL;
	}
	if (argc == 2)
		numbers[0] = number_before(list, numbers[1]);
	for (int i = 0; i < 2; i++) {
		ret[i] = find_generation(list, numbers[i]);
		if (ret[i])
			continue;
		if (numbers[i] == 0)
			return log_error(-ENOENT,
					 "machine '%s' has fewer than two generations to compare",
					 argv[1]);
		return log_error(-ENOENT, "machine '%s' has no generation %u", argv[1], numbers[i]);
	}
	return 0;
}

/* "1.0, 1.2"; a path without a version is a dash. */
static void add_versions(struct table *t, char *const *versions)
{
	autobuf struct buf text = {};
	struct json_object *array = json_object_new_array();

	for (char *const *version = versions; version && *version; version++) {
		buf_printf(&text, "%s%s", version == versions ? "" : ", ",
			   **version ? *version : "-");
		if (array)
			(void)json_object_array_add(array, json_object_new_string(*version));
	}
	table_add_cell(t, text.data ? text.data : "", array);
}

static void add_difference(struct table *t, const struct nix_difference *d)
{
	char size[32], text[40];
	uint64_t bytes = (uint64_t)(d->bytes < 0 ? -d->bytes : d->bytes);

	table_add_text(t, d->name);
	table_add_text(t, nix_change_name(d->change));
	add_versions(t, d->from);
	add_versions(t, d->to);
	(void)snprintf(text, sizeof(text), "%s%s", d->bytes < 0 ? "-" : "+",
		       size_format(bytes, size, sizeof(size)));
	table_add_cell(t, text, json_object_new_int64(d->bytes));
}

static void print_total(const struct nix_differences *d, size_t rebuilt)
{
	int64_t total = 0;
	char size[32];

	for (size_t i = 0; i < d->count; i++)
		total += d->items[i].bytes;
	if (rebuilt > 0)
		(void)printf("%zu rebuilt with the versions that they had (-a lists them).\n",
			     rebuilt);
	(void)printf("The closure %s by %s.\n", total < 0 ? "shrinks" : "grows",
		     size_format((uint64_t)(total < 0 ? -total : total), size, sizeof(size)));
}

static int print_differences(const struct cli *cli, const struct nix_differences *d)
{
	autotable struct table *t = table_new(diff_columns, ARRAY_SIZE(diff_columns));
	size_t rebuilt = 0;
	int r;

	for (size_t i = 0; i < d->count; i++) {
		bool hidden = d->items[i].change == NIX_CHANGE_REBUILT && !cli->all &&
			      cli->json == CLI_JSON_OFF;

		rebuilt += hidden;
		if (!hidden)
			add_difference(t, &d->items[i]);
	}
	r = table_print(t, stdout, cli, "package", "packages");
	if (r < 0)
		return log_errno(r, "print the differences");
	if (cli->legend && cli->json == CLI_JSON_OFF)
		print_total(d, rebuilt);
	return 0;
}

int verb_nix_diff(const struct cli *cli, int argc, char *argv[])
{
	autolist struct generation_list list = {};
	autoinfos struct nix_infos from = {}, to = {};
	autodifferences struct nix_differences d = {};
	const struct nix_generation *pair[2] = {};
	int r = nix_generations_list(argv[1], &list.items, &list.count);

	if (r < 0)
		return cli_exit_code(r);
	r = choose_pair(&list, argc, argv, pair);
	if (r == -EINVAL)
		return CLI_EXIT_USAGE;
	if (r >= 0)
		r = nix_infos_read(pair[0]->store_path, NIX_DETAIL_NAMES, &from);
	if (r >= 0)
		r = nix_infos_read(pair[1]->store_path, NIX_DETAIL_NAMES, &to);
	if (r < 0)
		return cli_exit_code(r);
	r = nix_diff(&from, &to, &d);
	return cli_exit_code(r < 0 ? log_oom() : print_differences(cli, &d));
}
