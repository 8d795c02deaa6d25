// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * redd nix create: a profile, a tree of a few links, and the settings that join them. All or
 * nothing: the image gets its name last, and what a killed one left is taken over by the next. Must
 * never touch the profile of somebody else's container. Caller's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/nix.h"
#include "cli/verbs.h"
#include "host/store.h"
#include "image/image.h"
#include "image/name.h"
#include "lib/fs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/nix.h"
#include "settings/value.h"
#include "transfer/import/staging.h"

struct creation {
	const char *name;
	const char *store;
	const char *source;
	char *system;
	char *profile;
	int pool_fd;
	struct staging staging;
	struct nix_settings settings;
	bool has_settings;
	bool has_profile;
};

static void creation_undo(struct creation *c)
{
	if (c->has_settings)
		nix_settings_undo(&c->settings);
	if (c->has_profile) {
		(void)nix_forget(c->name);
		nix_source_forget(c->name);
	}
}

static void creation_done(struct creation *c)
{
	staging_done(&c->staging);
	nix_settings_done(&c->settings);
	free(c->system);
	free(c->profile);
	if (c->pool_fd >= 0)
		(void)close(c->pool_fd);
}

static int choose_store(const struct cli *cli, struct creation *c)
{
	enum value_nix_store store;

	c->store = cli->nix_store ? cli->nix_store : "closure";
	if (value_parse_nix_store(c->store, &store) >= 0 && store != VALUE_NIX_STORE_OWN)
		return 0;
	(void)log_error(-EINVAL, "--store=%s: closure, whole or daemon", c->store);
	if (streq(c->store, "own"))
		log_hint("a machine with a store of its own comes from a tarball: redd import-tar");
	return -EINVAL;
}

static bool has_root(const char *name)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s", name);

	return path && access(path, F_OK) == 0;
}

/* A profile with our root beside it and no image is what a killed `create` left. */
static int check_name(struct creation *c)
{
	autoimage struct image *image = NULL;
	int r;

	if (!machine_name_is_valid(c->name)) {
		(void)log_error(-EINVAL, "'%s' is not a valid machine name", c->name);
		log_hint(MACHINE_NAME_FORM);
		return -EINVAL;
	}
	r = image_find(c->name, &image);
	if (r >= 0) {
		(void)log_error(-EEXIST, "there is an image named %s already", c->name);
		log_hint("redd nix update %s gives it another generation; redd remove %s frees the "
			 "name",
			 c->name, c->name);
		return -EEXIST;
	}
	if (r != -ENOENT)
		return log_errno(r, "look for an image named %s", c->name);
	if (nix_profile_get(c->name, NULL, NULL) != 0 || has_root(c->name))
		return 0;
	(void)log_error(-EEXIST, "there is a profile named %s that redd has not made",
			NIX_PROFILES_DIR);
	log_hint("it may be that of a nixos-container; choose another name");
	return -EEXIST;
}

static int open_pool(struct creation *c)
{
	int r = fs_make_dirs(IMAGE_POOL, 0700);

	if (r < 0)
		return log_errno(r, "make the image pool " IMAGE_POOL);
	c->pool_fd = open(IMAGE_POOL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return c->pool_fd < 0 ? log_errno(-errno, "open the image pool " IMAGE_POOL) : 0;
}

static int fill_tree(int tree)
{
	static const char *const folders[] = {"nix",	     "nix/store", "nix/var",
					      "nix/var/nix", "sbin",	  "etc"};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(tree, folders[i], 0755) < 0 || fchmodat(tree, folders[i], 0755, 0) < 0)
			return -errno;
	/* redd boots the system of the profile; this is for whoever else boots the tree. */
	return symlinkat(NIX_STATE_DIR "/profiles/system/init", tree, "sbin/init") < 0 ? -errno : 0;
}

static int make_tree(struct creation *c)
{
	int r = open_pool(c);

	if (r < 0)
		return r;
	r = staging_make(c->pool_fd, c->name, &c->staging);
	if (r >= 0)
		r = fill_tree(c->staging.tree_fd);
	return r < 0 ? log_errno(r, "make a tree for %s in " IMAGE_POOL, c->name) : 0;
}

/* The root comes first: it also says whose the profile is. */
static int make_profile(struct creation *c)
{
	unsigned number;
	int r;

	if (has_root(c->name)) {
		(void)nix_forget(c->name);
		nix_source_forget(c->name);
	}
	c->has_profile = true;
	r = nix_root_booted(c->name, c->system);
	if (r >= 0)
		r = nix_profile_set(c->name, c->system, &number);
	/* Again: a root without a profile is what others clean away. */
	if (r >= 0)
		r = nix_root_booted(c->name, c->system);
	if (r >= 0)
		(void)nix_source_remember(c->name, c->source);
	return r;
}

static int publish(struct creation *c)
{
	int r = staging_publish(&c->staging, c->name, false);

	if (r < 0)
		return log_errno(r, "give the image its name " IMAGE_POOL "/%s", c->name);
	r = staging_sync_name(&c->staging);
	if (r < 0)
		log_warning_errno(
			r, "write the name of image %s to disk, it may not outlive a power cut",
			c->name);
	return 0;
}

static int create(struct creation *c)
{
	int r = check_name(c);

	if (r >= 0)
		r = nix_system_find(c->source, &c->system);
	if (r >= 0)
		r = store_check(c->system);
	if (r < 0)
		return r;
	c->profile = str_printf(NIX_PROFILES_DIR "/%s/system", c->name);
	if (!c->profile)
		return log_oom();
	r = nix_settings_prepare(c->name, c->system, c->profile, c->store, &c->settings);
	if (r >= 0)
		r = make_tree(c);
	if (r >= 0)
		r = make_profile(c);
	if (r >= 0) {
		c->has_settings = true;
		r = nix_settings_write(&c->settings);
	}
	return r < 0 ? r : publish(c);
}

int nix_require_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	return log_error(-EPERM, "nix %s needs root: run it again with sudo", verb);
}

int verb_nix_create(const struct cli *cli, int argc, char *argv[])
{
	struct creation c = {.name = argv[1], .source = argv[2], .pool_fd = -1};
	int r = choose_store(cli, &c);

	if (r < 0)
		return CLI_EXIT_USAGE;
	r = nix_require_root("create");
	if (r < 0)
		return cli_exit_code(r);
	c.staging.fd = c.staging.tree_fd = -1;
	r = create(&c);
	if (r < 0)
		creation_undo(&c);
	else if (!cli->quiet)
		log_info("machine %s boots %s: redd start %s", c.name, c.system, c.name);
	creation_done(&c);
	return cli_exit_code(r);
}
