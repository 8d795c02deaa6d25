// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What there is to say of a machine that boots from the host's Nix store, and what is wrong with
 * it. Whatever the layers below say aloud on the way becomes a problem of the list. Caller's side.
 */
#include "cli/nix_info.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/table.h"
#include "cli/text.h"
#include "host/store.h"
#include "image/image.h"
#include "lib/io.h"
#include "lib/path.h"
#include "log/log.h"
#include "machine/leader.h"
#include "machine/registry.h"
#include "nix/nix.h"
#include "settings/settings.h"
#include "settings/value.h"

#define VERSION_MAX 256
/* "0123…-nixos-system": 32 characters of hash and a dash. */
#define HASH_SIZE 33

void nix_info_done(struct nix_info *info)
{
	free(info->system);
	free(info->version);
	free(info->store);
	(void)strv_free(info->problems);
	*info = (struct nix_info){};
}

static void collect(enum log_level level, const char *line, void *userdata)
{
	struct nix_info *info = userdata;

	if (level <= LOG_LEVEL_WARNING && *line != ' ')
		(void)strv_add(&info->problems, line);
}

static void add_problem(struct nix_info *info, char *text)
{
	(void)strv_add_owned(&info->problems, text);
}

static void read_version(struct nix_info *info)
{
	autofree char *path = str_printf("%s/nixos-version", info->system);

	if (path && io_read_file_at(AT_FDCWD, path, VERSION_MAX, &info->version, NULL) >= 0)
		info->version[strcspn(info->version, "\n")] = '\0';
}

static void check_root(struct nix_info *info, const char *machine, const char *system)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s/booted", machine);
	char target[PATH_MAX];
	ssize_t n = path ? readlink(path, target, sizeof(target) - 1) : -1;

	target[n < 0 ? 0 : n] = '\0';
	if (!streq(target, system))
		add_problem(info, str_printf("the root %s is missing: a garbage collection may "
					     "take away what runs",
					     path ? path : ""));
}

static void check_file_systems(struct nix_info *info)
{
	struct stat store, state;

	if (stat(NIX_STORE_DIR, &store) == 0 && stat(NIX_STATE_DIR, &state) == 0 &&
	    store.st_dev != state.st_dev)
		add_problem(info, strdup(NIX_STORE_DIR " is on another file system than its "
						       "database: they have to be kept and "
						       "restored together"));
}

/* The database, and each path: both say what is wrong. */
static void check_closure(struct nix_info *info)
{
	log_set_sink(collect, info);
	(void)store_check(info->system);
	log_set_sink(NULL, NULL);
}

static void check(struct nix_info *info, bool thorough)
{
	check_file_systems(info);
	if (thorough)
		check_closure(info);
	else if (access(info->system, F_OK) < 0)
		add_problem(info, str_printf("%s is gone from the store", info->system));
}

static int read_settings(const struct image *image, struct nix_info *info, char **ret_system)
{
	autosettings struct settings settings = {};
	const char *system, *store;
	int r;

	log_set_sink(collect, info);
	r = settings_load(&settings, image->name, image->path);
	log_set_sink(NULL, NULL);
	system = settings_text(&settings, SETTING_NIX_SYSTEM);
	store = settings_text(&settings, SETTING_NIX_STORE);
	if (r < 0 || !system || (store && streq(store, "own"))) {
		/* What is wrong with the settings of others is for their start to say. */
		info->problems = strv_free(info->problems);
		return 0;
	}
	*ret_system = strdup(system);
	info->store = strdup(store ? store : "closure");
	return *ret_system && info->store ? 0 : -ENOMEM;
}

char **nix_info_candidates(void)
{
	char **names = NULL;

	for (const char *const *path = settings_trusted_dirs; *path; path++) {
		DIR *dir = opendir(*path);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (str_has_suffix(entry->d_name, ".nspawn"))
				(void)strv_add_owned(
					&names, strndup(entry->d_name,
							strlen(entry->d_name) - strlen(".nspawn")));
		if (dir)
			(void)closedir(dir);
	}
	return names;
}

int nix_info_of_image(const struct image *image, bool thorough, struct nix_info *ret)
{
	auto_nix_info struct nix_info info = {};
	autofree char *system = NULL, *profile = NULL;
	int r = read_settings(image, &info, &system);

	if (r < 0 || !system) {
		*ret = (struct nix_info){};
		return r;
	}
	profile = store_profile_machine(system);
	if (profile)
		(void)nix_profile_get(profile, NULL, &info.generation);
	log_set_sink(collect, &info);
	r = nix_system_find(system, &info.system);
	log_set_sink(NULL, NULL);
	if (r < 0) {
		info.system = take_ptr(system);
	} else {
		read_version(&info);
		check(&info, thorough);
	}
	*ret = info;
	info = (struct nix_info){};
	return 0;
}

/* What switch-to-configuration has made the system: the guest's word, so only if it fits. */
static char *read_running(const struct machine_state *machine)
{
	autoleader struct leader leader = {};
	autoclose int root = -1, run = -1;
	char target[PATH_MAX];
	ssize_t n;

	if (leader_open(machine, &leader) < 0)
		return NULL;
	root = leader_open_root(&leader);
	run = root < 0 ? root : path_open_in_root(root, "/run", O_PATH | O_DIRECTORY);
	n = run < 0 ? -1 : readlinkat(run, "current-system", target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	return str_after_prefix(target, NIX_STORE_DIR "/") && path_is_normalized(target) &&
			       !strchr(target + sizeof(NIX_STORE_DIR), '/')
		       ? strdup(target)
		       : NULL;
}

int nix_info_of_machine(const struct machine_state *machine, struct nix_info *ret)
{
	auto_nix_info struct nix_info info = {};

	if (!machine->nix_system) {
		*ret = info;
		return 0;
	}
	info.system = read_running(machine);
	if (!info.system)
		info.system = strdup(machine->nix_system);
	info.store = strdup(machine->nix_store ? machine->nix_store : "own");
	if (!info.system || !info.store)
		return -ENOMEM;
	info.booted = machine->nix_generation;
	if (info.booted > 0)
		(void)nix_profile_get(machine->name, NULL, &info.generation);
	read_version(&info);
	check(&info, true);
	check_root(&info, machine->name, machine->nix_system);
	*ret = info;
	info = (struct nix_info){};
	return 0;
}

const char *nix_info_name(const struct nix_info *info)
{
	const char *name = info->system ? path_last(info->system) : NULL;

	return name && strlen(name) > HASH_SIZE ? name + HASH_SIZE : name;
}

void nix_info_print(const struct nix_info *info)
{
	autofree char *system = NULL, *generation = NULL;

	if (!info->system)
		return;
	system = str_printf("%s%s%s%s", nix_info_name(info), info->version ? " (" : "",
			    info->version ? info->version : "", info->version ? ")" : "");
	generation = str_printf("%u", info->generation);
	if (generation && info->booted > 0 && info->booted != info->generation) {
		free(generation);
		generation = str_printf("%u, booted %u", info->generation, info->booted);
	}
	field_print(stdout, "System", system);
	field_print(stdout, "Generation", info->generation > 0 ? generation : NULL);
	field_print(stdout, "Store", info->store);
	for (char **problem = info->problems; problem && *problem; problem++)
		field_print(stdout, "Problem", *problem);
}

static void add_number(struct json_object *object, const char *key, unsigned number)
{
	(void)json_object_object_add(object, key,
				     number > 0 ? json_object_new_uint64(number) : NULL);
}

void nix_info_to_json(const struct nix_info *info, struct json_object *object)
{
	struct json_object *list;

	if (!info->system || !object)
		return;
	list = json_object_new_array();
	for (char **problem = info->problems; problem && *problem; problem++)
		(void)json_object_array_add(list, json_from_text(*problem));
	(void)json_object_object_add(object, "system", json_from_text(info->system));
	(void)json_object_object_add(object, "nixosVersion", json_from_text(info->version));
	(void)json_object_object_add(object, "store", json_from_text(info->store));
	add_number(object, "generation", info->generation);
	add_number(object, "bootedGeneration", info->booted);
	(void)json_object_object_add(object, "problems", list);
}
