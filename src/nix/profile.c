// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A machine's profile, in Nix's own form: system -> system-N-link -> store. Each change is one
 * rename or one unlink, so that a kill at any time leaves the old or the new state. Must never
 * touch the profile of a nixos-container. Caller's side of clone().
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/name.h"
#include "lib/fs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "nix/info.h"
#include "nix/links.h"
#include "nix/locks.h"
#include "nix/names.h"
#include "nix/nix.h"

#define PROFILE "system"
#define LINK_NAME_SIZE 32
#define NIXOS_CONTAINER_CONFIG "/etc/nixos-containers"

static void link_name(unsigned number, char name[LINK_NAME_SIZE])
{
	(void)snprintf(name, LINK_NAME_SIZE, PROFILE "-%u-link", number);
}

/* Quiet. -ENOENT for a machine without a profile, -EINVAL for an invalid name. */
static int open_folder(const char *machine, int *ret_fd)
{
	autoclose int base = -1;
	int fd;

	if (!machine_name_is_valid(machine))
		return -EINVAL;
	base = open(NIX_PROFILES_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return -errno;
	fd = openat(base, machine, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int folder_failed(const char *machine, int error)
{
	if (error != -ENOENT)
		return log_errno(error, "open the profile of machine '%s' in " NIX_PROFILES_DIR,
				 machine);
	(void)log_error(-ENOENT, "machine '%s' has no Nix generations", machine);
	log_hint("redd nix create makes a machine that has");
	return -ENOENT;
}

void nix_generations_free(struct nix_generation *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].store_path);
	free(list);
}

struct generations {
	struct nix_generation *items;
	size_t count;
	unsigned current; /* 0: none */
};

static void generations_done(struct generations *g)
{
	nix_generations_free(g->items, g->count);
	*g = (struct generations){};
}

#define autogenerations autocall(generations_done)

static int add_generation(struct generations *g, int fd, const char *name, unsigned number)
{
	struct nix_generation *grown;
	char *target = NULL;
	struct stat st;
	int r = link_read_at(fd, name, &target);

	/* Deleted since it was listed, or not a link. */
	if (r == -ENOENT || r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	grown = reallocarray(g->items, g->count + 1, sizeof(*g->items));
	if (!grown) {
		free(target);
		return -ENOMEM;
	}
	g->items = grown;
	g->items[g->count++] = (struct nix_generation){.number = number, .store_path = target};
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		grown[g->count - 1].created_us = (uint64_t)st.st_mtim.tv_sec * USEC_PER_SEC +
						 (uint64_t)st.st_mtim.tv_nsec / 1000;
	return 0;
}

static int compare_generations(const void *a, const void *b)
{
	unsigned x = ((const struct nix_generation *)a)->number;
	unsigned y = ((const struct nix_generation *)b)->number;

	return (x > y) - (x < y);
}

/* Marks one generation as booted, also where several have its path: the current or the last. */
static void mark(struct generations *g, const char *booted)
{
	struct nix_generation *found = NULL;

	for (size_t i = 0; i < g->count; i++) {
		struct nix_generation *one = &g->items[i];

		one->is_current = one->number == g->current;
		if (streq_null(booted, one->store_path) && (!found || !found->is_current))
			found = one;
	}
	if (found)
		found->is_booted = true;
}

static int read_folder(int fd, const char *machine, struct generations *ret)
{
	autogenerations struct generations g = {};
	autofree char *current = NULL, *booted = NULL;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	unsigned number;

	if (!dir) {
		r = -errno;
		if (copy >= 0)
			(void)close(copy);
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {
		if (nix_generation_of_link(entry->d_name, &number))
			r = add_generation(&g, fd, entry->d_name, number);
	}
	(void)closedir(dir);
	if (r >= 0)
		r = link_read_at(fd, PROFILE, &current);
	if (r < 0 && r != -ENOENT)
		return r;
	if (current && nix_generation_of_link(current, &number))
		g.current = number;
	(void)nix_root_read(machine, &booted);
	/* qsort(3) takes no null pointer. */
	if (g.count > 0)
		qsort(g.items, g.count, sizeof(*g.items), compare_generations);
	mark(&g, booted);
	*ret = g;
	g = (struct generations){};
	return 0;
}

static int read_said(int fd, const char *machine, struct generations *ret)
{
	int r = read_folder(fd, machine, ret);

	return r < 0 ? log_errno(r, "read the generations of machine '%s'", machine) : 0;
}

static struct nix_generation *find(const struct generations *g, unsigned number)
{
	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].number == number)
			return &g->items[i];
	}
	return NULL;
}

int nix_generations_list(const char *machine, struct nix_generation **ret, size_t *ret_count)
{
	struct generations g = {};
	autoclose int fd = -1;
	int r = open_folder(machine, &fd);

	if (r < 0)
		return folder_failed(machine, r);
	r = read_said(fd, machine, &g);
	if (r < 0)
		return r;
	*ret = g.items;
	*ret_count = g.count;
	return 0;
}

int nix_profile_get(const char *machine, char **ret_store_path, unsigned *ret_number)
{
	autogenerations struct generations g = {};
	const struct nix_generation *current;
	autoclose int fd = -1;
	int r = open_folder(machine, &fd);

	if (r < 0)
		return r == -ENOENT ? r : folder_failed(machine, r);
	r = read_said(fd, machine, &g);
	if (r < 0)
		return r;
	current = find(&g, g.current);
	if (!current)
		return -ENOENT;
	if (ret_number)
		*ret_number = current->number;
	if (ret_store_path)
		*ret_store_path = strdup(current->store_path);
	return ret_store_path && !*ret_store_path ? log_oom() : 0;
}

/* nixos-containers use the same folder: redd remove would delete their profile. */
static int check_owner(const char *machine)
{
	autofree char *config = str_printf(NIXOS_CONTAINER_CONFIG "/%s.conf", machine);

	if (!config)
		return log_oom();
	if (faccessat(AT_FDCWD, config, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	(void)log_error(-EEXIST, "the profile of '%s' belongs to a nixos-container (%s)", machine,
			config);
	log_hint("give the machine another name");
	return -EEXIST;
}

static int make_folder(const char *machine, int *ret_fd)
{
	autofree char *path = str_printf(NIX_PROFILES_DIR "/%s", machine);
	int r;

	if (!path)
		return log_oom();
	if (!machine_name_is_valid(machine))
		return log_error(-EINVAL, "'%s' is not a valid machine name", machine);
	r = check_owner(machine);
	if (r >= 0)
		r = nix_root_make_folder(machine);
	if (r < 0)
		return r;
	r = fs_make_dirs(path, 0755);
	if (r < 0 && r != -EEXIST)
		return log_errno(r, "make the profile's folder %s", path);
	r = open_folder(machine, ret_fd);
	return r < 0 ? folder_failed(machine, r) : 0;
}

static int switch_to(int fd, unsigned number)
{
	char name[LINK_NAME_SIZE];
	int r;

	link_name(number, name);
	r = link_replace_at(fd, PROFILE, name);
	return r < 0 ? log_errno(r, "switch the profile to generation %u", number) : 0;
}

/* The link is a root: make it first, and remove it when the path turns out to be gone. */
static int add_link(int fd, const char *store_path, unsigned number)
{
	char name[LINK_NAME_SIZE];
	int r;

	link_name(number, name);
	if (symlinkat(store_path, fd, name) < 0)
		return log_errno(-errno, "make generation %u", number);
	r = nix_path_check(store_path);
	if (r < 0)
		(void)unlinkat(fd, name, 0);
	return r;
}

/*
 * The number of the generation for a path: the current one, if it has the path; the last one, if
 * that has it, as in Nix; else a new one, and *ret_new is true.
 */
static unsigned number_for(const struct generations *g, const char *store_path, bool *ret_new)
{
	const struct nix_generation *current = find(g, g->current);
	const struct nix_generation *last = g->count ? &g->items[g->count - 1] : NULL;

	*ret_new = false;
	if (current && streq(current->store_path, store_path))
		return current->number;
	if (last && streq(last->store_path, store_path))
		return last->number;
	*ret_new = true;
	return last ? last->number + 1 : 1;
}

int nix_profile_set(const char *machine, const char *store_path, unsigned *ret_number)
{
	autogenerations struct generations g = {};
	autoclose int fd = -1, gc_fd = -1;
	autoprofilelock struct nix_profile_lock lock = {.fd = -1};
	unsigned number;
	bool is_new;
	int r;

	if (!nix_name_of_path(store_path))
		return log_error(-EINVAL, "'%s' is no store path", store_path);
	r = make_folder(machine, &fd);
	if (r >= 0)
		r = nix_profile_lock(fd, PROFILE, &lock);
	if (r >= 0)
		r = nix_gc_lock(&gc_fd);
	if (r >= 0)
		r = read_said(fd, machine, &g);
	if (r < 0)
		return r;
	number = number_for(&g, store_path, &is_new);
	r = is_new ? add_link(fd, store_path, number) : nix_path_check(store_path);
	if (r >= 0 && number != g.current)
		r = switch_to(fd, number);
	if (r < 0)
		return r;
	if (ret_number)
		*ret_number = number;
	return 0;
}

static const struct nix_generation *previous(const struct generations *g)
{
	const struct nix_generation *found = NULL;

	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].number < g->current)
			found = &g->items[i];
	}
	return found;
}

static int no_generation(const char *machine, unsigned number)
{
	if (number > 0)
		(void)log_error(-ENOENT, "machine '%s' has no generation %u", machine, number);
	else
		(void)log_error(-ENOENT, "machine '%s' has no generation before the current one",
				machine);
	log_hint("redd nix generations %s lists them", machine);
	return -ENOENT;
}

/* Opens and locks the profile's folder, and reads its generations. Loud. */
static int open_locked(const char *machine, int *ret_fd, struct nix_profile_lock *ret_lock,
		       struct generations *ret)
{
	int r = open_folder(machine, ret_fd);

	if (r < 0)
		return folder_failed(machine, r);
	r = nix_profile_lock(*ret_fd, PROFILE, ret_lock);
	return r < 0 ? r : read_said(*ret_fd, machine, ret);
}

int nix_profile_switch(const char *machine, unsigned number, unsigned *ret_number)
{
	autogenerations struct generations g = {};
	const struct nix_generation *target;
	autoclose int fd = -1;
	autoprofilelock struct nix_profile_lock lock = {.fd = -1};
	int r = open_locked(machine, &fd, &lock, &g);

	if (r < 0)
		return r;
	target = number > 0 ? find(&g, number) : previous(&g);
	if (!target)
		return no_generation(machine, number);
	r = nix_path_check(target->store_path);
	if (r >= 0 && target->number != g.current)
		r = switch_to(fd, target->number);
	if (r >= 0 && ret_number)
		*ret_number = target->number;
	return r;
}

static int in_use(const char *machine, const struct nix_generation *one)
{
	if (one->is_current) {
		(void)log_error(-EBUSY, "generation %u of machine '%s' is the current one",
				one->number, machine);
		log_hint("switch first: redd nix rollback %s", machine);
	} else {
		(void)log_error(-EBUSY, "generation %u of machine '%s' is what it booted",
				one->number, machine);
		log_hint("restart it first: redd restart %s", machine);
	}
	return -EBUSY;
}

int nix_generation_delete(const char *machine, unsigned number)
{
	autogenerations struct generations g = {};
	const struct nix_generation *one;
	char name[LINK_NAME_SIZE];
	autoclose int fd = -1;
	autoprofilelock struct nix_profile_lock lock = {.fd = -1};
	int r = open_locked(machine, &fd, &lock, &g);

	if (r < 0)
		return r;
	one = find(&g, number);
	if (!one)
		return no_generation(machine, number);
	if (one->is_current || one->is_booted)
		return in_use(machine, one);
	link_name(number, name);
	if (unlinkat(fd, name, 0) < 0)
		return log_errno(-errno, "delete generation %u of machine '%s'", number, machine);
	return 0;
}
