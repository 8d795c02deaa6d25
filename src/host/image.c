/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Examines the image before anything is made: whether it has an init, and which. Must only look up
 * paths inside the tree, whose links may point anywhere (on NixOS absolute ones lead through a
 * profile into a store that may not be bound yet). Supervisor's side.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "host/host.h"
#include "image/exposure.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

/*
 * /sbin/init comes first: the image's administrator or distribution chose it, even if a systemd is
 * installed too. The others are for images without that link.
 */
static const char *const init_places[] = {
	"/sbin/init", "/usr/lib/systemd/systemd",	   "/lib/systemd/systemd", "/init",
	"/bin/init",  "/nix/var/nix/profiles/system/init",
};

/* The path of an open file inside the tree, for people; it is never opened again. */
static char *describe_fd(int fd, const char *directory)
{
	char link[64];
	char path[PATH_MAX];
	const char *inside;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return NULL;
	path[n] = '\0';
	inside = streq(directory, "/") ? NULL : str_after_prefix(path, directory);
	return strdup(inside ? inside : path);
}

static bool names_systemd(const char *path)
{
	return path && streq(path_last(path), "systemd");
}

static bool is_runnable(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static bool image_has(struct host *host, const char *path)
{
	autoclose int fd = path_open_in_root(host->slots[PLAN_SLOT_IMAGE], path, O_PATH);

	return fd >= 0;
}

/* A NixOS init is a script in the store that executes systemd at its end. */
static bool is_in_store(const char *path)
{
	return path && str_after_prefix(path, "/nix/store/");
}

static int try_init(struct host *host, const char *place)
{
	autoclose int fd = path_open_in_root(host->slots[PLAN_SLOT_IMAGE], place, O_PATH);

	if (fd < 0 || !is_runnable(fd))
		return 0;
	if (!host->facts.init) {
		host->facts.init = describe_fd(fd, host->spec->directory);
		host->facts.init_notifies =
			names_systemd(host->facts.init) || is_in_store(host->facts.init);
	}
	return strv_add(&host->facts.init_candidates, place);
}

static bool has_binds(const struct spec *spec)
{
	for (size_t i = 0; i < spec->mount_count; i++)
		if (spec->mounts[i].kind == SPEC_MOUNT_BIND)
			return true;
	return false;
}

/* Reads a link whose directory is looked up inside the tree. Its length, or -errno. */
static ssize_t read_link(struct host *host, const char *place, char *target, size_t size)
{
	autofree char *parent = strndup(place, (size_t)(path_last(place) - place));
	autoclose int dir = -1;
	ssize_t n;

	if (!parent)
		return -ENOMEM;
	dir = path_open_in_root(host->slots[PLAN_SLOT_IMAGE], parent, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return dir;
	n = readlinkat(dir, path_last(place), target, size - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return n;
}

/*
 * If the image is bound together with a Nix store the init exists only after the bind, so accept
 * links that lead nowhere yet. An init in the store belongs to a system of Nix.
 */
static int take_links(struct host *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(init_places); i++) {
		char target[PATH_MAX];
		ssize_t n = read_link(host, init_places[i], target, sizeof(target));

		if (n < 0 && n != -EINVAL)
			continue;
		if (strv_add(&host->facts.init_candidates, init_places[i]) < 0)
			return log_oom();
		host->facts.init_notifies |= n > 0 && str_after_prefix(target, "/nix/");
	}
	return 0;
}

/* Tells people what the first existing place holds. */
static void explain_missing_init(struct host *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(init_places); i++) {
		const char *place = init_places[i];
		char target[PATH_MAX];
		autoclose int fd = path_open_in_root(host->slots[PLAN_SLOT_IMAGE], place, O_PATH);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0) {
			log_hint("%s is there, but it is %s", place,
				 S_ISREG(st.st_mode)   ? "not executable: chmod +x it"
				 : S_ISDIR(st.st_mode) ? "a directory"
						       : "no file");
			return;
		}
		if (read_link(host, place, target, sizeof(target)) > 0) {
			log_hint("%s is a link to %s, which is not in the image", place, target);
			return;
		}
	}
	log_hint("a system image has one; to run a single command in this tree: redd run -D %s "
		 "COMMAND",
		 host->spec->directory);
}

static int find_init(struct host *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(init_places); i++)
		if (try_init(host, init_places[i]) < 0)
			return log_oom();
	if (!host->facts.init_candidates && has_binds(host->spec) && take_links(host) < 0)
		return -ENOMEM;
	if (host->facts.init_candidates)
		return 0;
	log_error(-ENOENT,
		  "%s has no init: none of /sbin/init, /usr/lib/systemd/systemd, /init can be "
		  "run in it",
		  host->spec->directory);
	explain_missing_init(host);
	return -ENOENT;
}

/* A tree to run in has at least one of these; NixOS and busybox have no /usr. */
static int check_tree(struct host *host)
{
	static const char *const some[] = {"/usr", "/bin",  "/sbin", "/etc",
					   "/nix", "/init", "/lib"};

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		if (image_has(host, some[i]))
			return 0;
	if (has_binds(host->spec))
		return 0;
	return log_error(-ENOENT,
			 "%s does not look like the root of a system: it has no /usr, /bin, "
			 "/etc or /nix",
			 host->spec->directory);
}

static int find_system(struct host *host)
{
	/* With a shared store the system comes from there: see store.c. */
	if (host->spec->store != SPEC_STORE_OWN)
		return 0;
	if (host->spec->start == SPEC_START_BOOT)
		return find_init(host);
	host->facts.has_profile = image_has(host, "/nix/var/nix/profiles/system/sw/bin");
	return check_tree(host);
}

static int image_prepare(struct host *host)
{
	int r = find_system(host);

	/*
	 * Root inside makes files that the host's root owns, so other users must not reach them. If
	 * the directory is not a system, leave it alone.
	 */
	if (r == 0 && !host->only_looks && !host->spec->read_only && !host->spec->ephemeral)
		image_protect_tree(host->spec->directory);
	return r;
}

static void image_done(struct host_facts *facts)
{
	(void)strv_free(facts->init_candidates);
	free(facts->init);
}

const struct host_module host_module_image = {
	.name = "image",
	.prepare = image_prepare,
	.done = image_done,
};
