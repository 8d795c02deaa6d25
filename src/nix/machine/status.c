// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds out what a machine that boots from the host's Nix store boots, and what is wrong with it.
 * Collects the errors and warnings that the layers below log. Caller's side of clone().
 */
#include "nix/machine/status.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

void nix_status_done(struct nix_status *status)
{
	free(status->system);
	free(status->version);
	free(status->store);
	(void)strv_free(status->problems);
	*status = (struct nix_status){};
}

static void collect(enum log_level level, const char *line, void *userdata)
{
	struct nix_status *status = userdata;

	if (level <= LOG_LEVEL_WARNING && *line != ' ')
		(void)strv_add(&status->problems, line);
}

static void add_problem(struct nix_status *status, char *text)
{
	(void)strv_add_owned(&status->problems, text);
}

static void check_root(struct nix_status *status, const char *machine, const char *system)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s/booted", machine);
	char target[PATH_MAX];
	ssize_t n = path ? readlink(path, target, sizeof(target) - 1) : -1;

	target[n < 0 ? 0 : n] = '\0';
	if (!streq(target, system))
		add_problem(status, str_printf("the root %s is missing: a garbage collection may "
					       "take away what runs",
					       path ? path : ""));
}

static void check_file_systems(struct nix_status *status)
{
	struct stat store, state;

	if (stat(NIX_STORE_DIR, &store) == 0 && stat(NIX_STATE_DIR, &state) == 0 &&
	    store.st_dev != state.st_dev)
		add_problem(status, strdup(NIX_STORE_DIR " is on another file system than its "
							 "database: they have to be kept and "
							 "restored together"));
}

/* The database knows each path, and each is there. */
static void check_closure(struct nix_status *status)
{
	log_set_sink(collect, status);
	(void)store_check(status->system);
	log_set_sink(NULL, NULL);
}

static void check(struct nix_status *status, bool thorough)
{
	check_file_systems(status);
	if (thorough)
		check_closure(status);
	else if (access(status->system, F_OK) < 0)
		add_problem(status, str_printf("%s is gone from the store", status->system));
}

static int read_settings(const struct image *image, struct nix_status *status, char **ret_system)
{
	autosettings struct settings settings = {};
	const char *system, *store;
	int r;

	log_set_sink(collect, status);
	r = settings_load(&settings, image->name, image->path);
	log_set_sink(NULL, NULL);
	system = settings_text(&settings, SETTING_NIX_SYSTEM);
	store = settings_text(&settings, SETTING_NIX_STORE);
	if (r < 0 || !system || (store && streq(store, "own"))) {
		/* Errors in the settings of other machines are reported when those start. */
		status->problems = strv_free(status->problems);
		return 0;
	}
	*ret_system = strdup(system);
	status->store = strdup(store ? store : "closure");
	return *ret_system && status->store ? 0 : -ENOMEM;
}

char **nix_status_candidates(void)
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

int nix_status_of_image(const struct image *image, bool thorough, struct nix_status *ret)
{
	auto_nix_status struct nix_status status = {};
	autofree char *system = NULL, *profile = NULL;
	int r = read_settings(image, &status, &system);

	if (r < 0 || !system) {
		*ret = (struct nix_status){};
		return r;
	}
	profile = store_profile_machine(system);
	if (profile)
		(void)nix_profile_get(profile, NULL, &status.generation);
	log_set_sink(collect, &status);
	r = nix_system_find(system, &status.system);
	log_set_sink(NULL, NULL);
	if (r < 0) {
		status.system = take_ptr(system);
	} else {
		status.version = nix_system_version(status.system);
		check(&status, thorough);
	}
	*ret = status;
	status = (struct nix_status){};
	return 0;
}

/* The system that is active in the machine. The guest may lie: only a store path is accepted. */
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

int nix_status_of_machine(const struct machine_state *machine, struct nix_status *ret)
{
	auto_nix_status struct nix_status status = {};

	if (!machine->nix_system) {
		*ret = status;
		return 0;
	}
	status.system = read_running(machine);
	if (!status.system)
		status.system = strdup(machine->nix_system);
	status.store = strdup(machine->nix_store ? machine->nix_store : "own");
	if (!status.system || !status.store)
		return -ENOMEM;
	status.booted = machine->nix_generation;
	if (status.booted > 0)
		(void)nix_profile_get(machine->name, NULL, &status.generation);
	status.version = nix_system_version(status.system);
	check(&status, true);
	check_root(&status, machine->name, machine->nix_system);
	*ret = status;
	status = (struct nix_status){};
	return 0;
}
