// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * list-images, image-status, remove. What images say of themselves (names, os-release) is escaped
 * before it is shown. Caller's side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/machines.h"
#include "cli/nix.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "image/image.h"
#include "image/name.h"
#include "image/os_release.h"
#include "image/remove.h"
#include "image/usage.h"
#include "lib/path.h"
#include "lib/time.h"
#include "log/log.h"
#include "net/lease.h"
#include "nix/machine/source.h"
#include "nix/machine/status.h"
#include "nix/nix.h"
#include "transfer/transfer.h"

/* Of /etc/hostname and /etc/machine-id, which are one short line. */
#define SMALL_FILE_MAX 4096
/* A command that is about something else finishes what others left, but not at any length. */
#define CLEAN_TIMEOUT_US (250 * USEC_PER_MSEC)

static const struct table_column list_columns[] = {
	{"NAME", "name", false},       {"TYPE", "type", false},
	{"RO", "readOnly", false},     {"USAGE", "usage", true},
	{"CREATED", "created", false}, {"MODIFIED", "modified", false},
	{NULL, "usageExact", false},   {NULL, "path", false},
	{NULL, "system", false},       {NULL, "nixosVersion", false},
	{NULL, "generation", false},   {NULL, "store", false},
};

/* Where one of them boots from the host's store: in front of what only programs get. */
static const struct table_column list_columns_nix[] = {
	{"NAME", "name", false},
	{"TYPE", "type", false},
	{"RO", "readOnly", false},
	{"USAGE", "usage", true},
	{"CREATED", "created", false},
	{"MODIFIED", "modified", false},
	{"SYSTEM", "system", false},
	{"VERSION", "nixosVersion", false},
	{"GENERATION", "generation", true},
	{"STORE", "store", false},
	{NULL, "usageExact", false},
	{NULL, "path", false},
};

/* "~" for what was measured before and may have changed since. */
static void format_usage(const struct image *image, char *buf, size_t size)
{
	char bytes[24];

	(void)snprintf(buf, size, "%s%s", image->usage_exact ? "" : "~",
		       size_format(image->usage_bytes, bytes, sizeof(bytes)));
}

static void add_usage(struct table *t, const struct image *image)
{
	char text[32];

	if (image->usage_bytes == UINT64_MAX) {
		table_add_size(t, UINT64_MAX);
		return;
	}
	format_usage(image, text, sizeof(text));
	table_add_cell(t, text, json_object_new_uint64(image->usage_bytes));
}

static void add_nix(struct table *t, const struct nix_status *info)
{
	const char *name = nix_status_name(info);

	table_add_cell(t, name ? name : "-", json_from_text(info->system));
	table_add_text(t, info->version);
	table_add_u64(t, info->generation > 0 ? info->generation : UINT64_MAX);
	table_add_text(t, info->store);
}

static void add_image(struct table *t, const struct image *image, const struct nix_status *info,
		      bool shows_nix)
{
	table_add_text(t, image->name);
	table_add_text(t, image_kind_to_name(image->kind));
	table_add_bool(t, image->read_only);
	add_usage(t, image);
	table_add_time(t, image->created_us);
	table_add_time(t, image->modified_us);
	if (shows_nix)
		add_nix(t, info);
	table_add_bool(t, image->usage_exact);
	table_add_text(t, image->path);
	if (!shows_nix)
		add_nix(t, info);
}

/* Only to somebody who looks, and who does not see everything yet. */
static void hint_unmeasured(const struct cli *cli, const struct image_list *list)
{
	size_t unknown = 0;

	for (size_t i = 0; i < list->n; i++)
		unknown += list->items[i]->usage_bytes == UINT64_MAX;
	if (unknown > 0 && cli->legend && cli->json == CLI_JSON_OFF && isatty(STDOUT_FILENO))
		log_info("the usage of %zu of them has not been measured: redd image-status NAME "
			 "does that",
			 unknown);
}

/* Whatever was killed, import or removal: the next commands take its rest away, bit by bit. */
static void clean_leftovers(void)
{
	autoclose int pool_fd = open(IMAGE_POOL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)image_clean_leftovers(IMAGE_CLEAN_SHORT_US);
	if (pool_fd >= 0)
		(void)transfer_clean_leftovers(pool_fd, IMAGE_CLEAN_SHORT_US);
}

static struct table *make_table(const struct image_list *list)
{
	struct nix_status *infos = calloc(list->n + 1, sizeof(*infos));
	autostrv char **candidates = nix_status_candidates();
	bool shows_nix = false;
	struct table *t;

	if (!infos)
		return NULL;
	for (size_t i = 0; i < list->n; i++) {
		if (strv_contains(candidates, list->items[i]->name))
			(void)nix_status_of_image(list->items[i], false, &infos[i]);
		shows_nix |= infos[i].system != NULL;
	}
	t = shows_nix ? table_new(list_columns_nix, ARRAY_SIZE(list_columns_nix))
		      : table_new(list_columns, ARRAY_SIZE(list_columns));
	for (size_t i = 0; i < list->n; i++) {
		add_image(t, list->items[i], &infos[i], shows_nix);
		nix_status_done(&infos[i]);
	}
	free(infos);
	return t;
}

int verb_list_images(const struct cli *cli, int argc, char *argv[])
{
	autotable struct table *t = NULL;
	autoimages struct image_list list = {};
	int r;

	r = image_find_all(&list);
	if (r < 0) {
		(void)log_errno(r, "look for images");
		if (r == -EACCES || r == -EPERM)
			log_hint("only root may read " IMAGE_POOL);
		return cli_exit_code(r);
	}
	image_usage_load(list.items, list.n);
	t = make_table(&list);
	r = table_print(t, stdout, cli, "image", "images");
	if (r < 0)
		return cli_exit_code(log_errno(r, "print the images"));
	hint_unmeasured(cli, &list);
	/* After the answer: taking a big tree apart takes its time. */
	clean_leftovers();
	return 0;
}

/* What the image says of itself. */
struct inside {
	char *hostname, *machine_id;
	struct os_release os;
	struct nix_status nix;
};

static void inside_done(struct inside *in)
{
	free(in->hostname);
	free(in->machine_id);
	os_release_done(&in->os);
	nix_status_done(&in->nix);
}

/* The first line of a small file, or NULL when there is no such, or an empty one. */
static char *read_line(int root_fd, const char *path)
{
	autofree char *text = NULL;

	if (path_read_in_root(root_fd, path, SMALL_FILE_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return *str_strip(text) ? strdup(str_strip(text)) : NULL;
}

static int read_inside(const struct image *image, struct inside *ret)
{
	autoclose int root_fd = -1;
	int r;

	if (image->kind == IMAGE_RAW)
		return 0;
	root_fd = image_open(image);
	if (root_fd < 0)
		return log_errno(root_fd, "open image '%s'", image->name);
	(void)nix_status_of_image(image, true, &ret->nix);
	ret->hostname = read_line(root_fd, "etc/hostname");
	ret->machine_id = read_line(root_fd, "etc/machine-id");
	r = os_release_read(root_fd, &ret->os);
	if (r < 0 && r != -ENOENT)
		log_warning_errno(r, "read the os-release file of image '%s'", image->name);
	return 0;
}

static void print_status(const struct image *image, const struct inside *in)
{
	autofree char *name = str_escape(image->name);
	char usage[32];

	(void)printf("%s\n", name ? name : "");
	field_print(stdout, "Type", image_kind_to_name(image->kind));
	field_print(stdout, "Path", image->path);
	field_print(stdout, "Hostname", in->hostname);
	field_print(stdout, "Machine ID", in->machine_id);
	field_print(stdout, "OS", os_release_pretty(&in->os));
	nix_status_print(&in->nix);
	field_print(stdout, "RO", image->read_only ? "read-only" : "writable");
	field_print_time(stdout, "Created", image->created_us);
	field_print_time(stdout, "Modified", image->modified_us);
	if (image->usage_bytes != UINT64_MAX) {
		format_usage(image, usage, sizeof(usage));
		field_print(stdout, "Usage", usage);
	}
}

static struct json_object *json_from_os_release(const struct os_release *os)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; object && i < strv_length(os->pairs); i++) {
		autofree char *key = strdup(os->pairs[i]);

		if (!key)
			continue;
		key[strcspn(key, "=")] = '\0';
		(void)json_object_object_add(object, key, json_from_text(os_release_get(os, key)));
	}
	return object;
}

static struct json_object *json_from_time(uint64_t time_us)
{
	return time_us > 0 ? json_object_new_uint64(time_us) : NULL;
}

static struct json_object *json_from_status(const struct image *image, const struct inside *in)
{
	bool known = image->usage_bytes != UINT64_MAX;
	const struct {
		const char *key;
		struct json_object *value;
	} members[] = {
		{"name", json_from_text(image->name)},
		{"type", json_from_text(image_kind_to_name(image->kind))},
		{"path", json_from_text(image->path)},
		{"hostname", json_from_text(in->hostname)},
		{"machineId", json_from_text(in->machine_id)},
		{"osRelease", json_from_os_release(&in->os)},
		{"readOnly", json_object_new_boolean(image->read_only)},
		{"created", json_from_time(image->created_us)},
		{"modified", json_from_time(image->modified_us)},
		{"usage", known ? json_object_new_uint64(image->usage_bytes) : NULL},
		{"usageExact", json_object_new_boolean(image->usage_exact)},
	};
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (object)
			(void)json_object_object_add(object, members[i].key, members[i].value);
		else
			json_object_put(members[i].value);
	}
	nix_status_to_json(&in->nix, object);
	return object;
}

/* `array` collects for --json, else the page is printed. Logs. */
static int show_one(const char *name, bool first, struct json_object *array)
{
	autocall(inside_done) struct inside in = {};
	autoimage struct image *image = NULL;
	int r;

	r = image_require(name, &image);
	if (r < 0)
		return r;
	r = read_inside(image, &in);
	if (r < 0)
		return r;
	image_usage_load(&image, 1);
	r = image_usage_measure(image);
	if (r < 0)
		log_warning_errno(r, "measure the usage of image '%s'", name);
	if (array)
		return json_object_array_add(array, json_from_status(image, &in));
	if (!first)
		(void)putchar('\n');
	print_status(image, &in);
	return 0;
}

int verb_image_status(const struct cli *cli, int argc, char *argv[])
{
	struct json_object *array = cli->json == CLI_JSON_OFF ? NULL : json_object_new_array();
	int result = 0, r;

	for (int i = 1; i < argc; i++) {
		r = show_one(argv[i], i == 1, array);
		result = r < 0 ? r : result;
	}
	r = 0;
	if (array)
		r = json_print(stdout, array, cli->json == CLI_JSON_PRETTY);
	else if (fflush(stdout) != 0)
		r = -errno;
	if (r < 0)
		result = log_errno(r, "print the status");
	json_object_put(array);
	return cli_exit_code(result);
}

/* The addresses were kept for the name. A lease that stays is no more than a waste of them. */
static void forget_lease(const char *name)
{
	int r = machine_name_is_valid(name) ? net_lease_forget(name) : 0;

	if (r < 0)
		log_warning_errno(r, "forget the addresses of machine %s in " NET_LEASE_FILE, name);
}

/* Only what redd has made: a profile without our root is that of somebody else's container. */
static void forget_generations(const char *name)
{
	autofree char *roots = str_printf(NIX_ROOTS_DIR "/%s", name);

	nix_source_forget(name);
	if (roots && access(roots, F_OK) == 0)
		(void)nix_forget(name);
}

static int remove_one(const struct cli *cli, const char *name)
{
	autoimage struct image *image = NULL;
	int r = image_require(name, &image);

	if (r >= 0)
		r = image_remove(image);
	if (r < 0)
		return r;
	forget_lease(image->name);
	if (!image->link)
		forget_generations(image->name);
	if (image->link)
		log_info("removed the link %s; what it leads to is kept", image->path);
	else if (!cli->quiet)
		log_info("removed image '%s'", image->name);
	return 0;
}

int verb_remove(const struct cli *cli, int argc, char *argv[])
{
	int result = 0;

	/* A machine that outlived its supervisor has let go of its image's lock. */
	cli_clean_dead();
	for (int i = 1; i < argc; i++) {
		int r = remove_one(cli, argv[i]);

		/* One that can't be removed is no reason to keep the others. */
		result = r < 0 ? r : result;
	}
	clean_leftovers();
	return cli_exit_code(result);
}
