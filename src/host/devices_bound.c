/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adds rules for bound device nodes to the device filter: an administrator who binds a node wants
 * the guest to use it. Must never allow making nodes. Supervisor's side.
 */
#include "host/devices_bound.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "lib/str.h"

struct rules {
	struct device_rule *items; /* DEVICE_RULES_MAX of them */
	size_t count;
};

static int add_node(struct rules *rules, const struct stat *st)
{
	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return 0;
	if (rules->count == DEVICE_RULES_MAX)
		return -E2BIG;
	rules->items[rules->count++] = (struct device_rule){
		.type = S_ISCHR(st->st_mode) ? 'c' : 'b',
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.access = DEVICE_READ | DEVICE_WRITE,
	};
	return 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static int add_directory(struct rules *rules, const char *path)
{
	autocall(closedirp) DIR *dir = opendir(path);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		int r = 0;

		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = add_node(rules, &st);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_source(struct rules *rules, const char *source)
{
	struct stat st;

	/* What can't be examined can't be bound either, and the bind reports that. */
	if (stat(source, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode) && str_after_prefix(source, "/dev/"))
		return add_directory(rules, source);
	return add_node(rules, &st);
}

int devices_rules_for(const struct spec *spec, struct device_rule **ret)
{
	autofree struct device_rule *items = calloc(DEVICE_RULES_MAX, sizeof(*items));
	struct rules rules = {.items = items, .count = devices_default_count};

	if (!items)
		return -ENOMEM;
	memcpy(items, devices_default, devices_default_count * sizeof(*items));
	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct spec_mount *mount = &spec->mounts[i];
		int r = 0;

		if (mount->kind == SPEC_MOUNT_BIND && !mount->source_in_image && mount->source)
			r = add_source(&rules, mount->source);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(items);
	return (int)rules.count;
}
