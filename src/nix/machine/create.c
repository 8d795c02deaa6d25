// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Makes a machine that boots a system of the host's store: a profile, a tree of a few links, and
 * the settings that join them. All or nothing: the image gets its name last, and a create that was
 * killed is taken over by the next one of that name. Must never touch the profile of a container
 * that redd has not made. Caller's side of clone().
 */
#include "nix/machine/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/store.h"
#include "image/image.h"
#include "image/name.h"
#include "lib/fs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/machine/settings.h"
#include "nix/machine/source.h"
#include "nix/nix.h"
#include "transfer/import/staging.h"

struct creation {
	const struct nix_create_request *request;
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
		(void)nix_forget(c->request->name);
		nix_source_forget(c->request->name);
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

static bool has_root(const char *name)
{
	autofree char *path = str_printf(NIX_ROOTS_DIR "/%s", name);

	return path && access(path, F_OK) == 0;
}

/* A create that was killed leaves a profile with our root, and no image. */
static int check_name(struct creation *c)
{
	autoimage struct image *image = NULL;
	int r;

	if (!machine_name_is_valid(c->request->name)) {
		(void)log_error(-EINVAL, "'%s' is not a valid machine name", c->request->name);
		log_hint(MACHINE_NAME_FORM);
		return -EINVAL;
	}
	r = image_find(c->request->name, &image);
	if (r >= 0) {
		(void)log_error(-EEXIST, "there is an image named %s already", c->request->name);
		log_hint("redd nix update %s gives it another generation; redd remove %s frees the "
			 "name",
			 c->request->name, c->request->name);
		return -EEXIST;
	}
	if (r != -ENOENT)
		return log_errno(r, "look for an image named %s", c->request->name);
	if (nix_profile_get(c->request->name, NULL, NULL) != 0 || has_root(c->request->name))
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
	/* redd boots the profile's system; other programs that boot the tree need this link. */
	return symlinkat(NIX_STATE_DIR "/profiles/system/init", tree, "sbin/init") < 0 ? -errno : 0;
}

static int make_tree(struct creation *c)
{
	int r = open_pool(c);

	if (r < 0)
		return r;
	r = staging_make(c->pool_fd, c->request->name, &c->staging);
	if (r >= 0)
		r = fill_tree(c->staging.tree_fd);
	return r < 0 ? log_errno(r, "make a tree for %s in " IMAGE_POOL, c->request->name) : 0;
}

/* The root comes first: it marks the profile as ours. */
static int make_profile(struct creation *c)
{
	unsigned number;
	int r;

	if (has_root(c->request->name)) {
		(void)nix_forget(c->request->name);
		nix_source_forget(c->request->name);
	}
	c->has_profile = true;
	r = nix_root_booted(c->request->name, c->system);
	if (r >= 0)
		r = nix_profile_set(c->request->name, c->system, &number);
	/* Again: a cleaner removes a root without a profile, and may have done so. */
	if (r >= 0)
		r = nix_root_booted(c->request->name, c->system);
	if (r >= 0)
		(void)nix_source_remember(c->request->name, c->request->source);
	return r;
}

static int publish(struct creation *c)
{
	int r = staging_publish(&c->staging, c->request->name, false);

	if (r < 0)
		return log_errno(r, "give the image its name " IMAGE_POOL "/%s", c->request->name);
	r = staging_sync_name(&c->staging);
	if (r < 0)
		log_warning_errno(
			r, "write the name of image %s to disk, it may not outlive a power cut",
			c->request->name);
	return 0;
}

static int create(struct creation *c)
{
	int r = check_name(c);

	if (r >= 0)
		r = nix_system_find(c->request->source, &c->system);
	if (r >= 0)
		r = store_check(c->system);
	if (r < 0)
		return r;
	c->profile = str_printf(NIX_PROFILES_DIR "/%s/system", c->request->name);
	if (!c->profile)
		return log_oom();
	r = nix_settings_prepare(c->request->name, c->system, c->profile, c->request->store,
				 &c->settings);
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

int nix_create(const struct nix_create_request *request, char **ret_system)
{
	struct creation c = {
		.request = request, .pool_fd = -1, .staging = {.fd = -1, .tree_fd = -1}};
	int r = create(&c);

	if (r < 0)
		creation_undo(&c);
	else
		*ret_system = take_ptr(c.system);
	creation_done(&c);
	return r;
}
