/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The binds and tmpfs of a machine, outer before inner. Must never look whether a source is there.
 * Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/value.h"
#include "spec/resolve.h"

static void mount_done(struct spec_mount *mount)
{
	free(mount->source);
	free(mount->target);
	free(mount->options);
}

/* Ours are set up with care there, and what is in them proves what the payload may do (P03). */
static const char *reserved_target(const char *target)
{
	static const char *const reserved[] = {"/", "/dev", "/proc", "/sys"};

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (streq(target, reserved[i]))
			return reserved[i];
	return str_after_prefix(target, "/proc/") ? "/proc" : NULL;
}

static int add_mount(struct resolution *resolution, const struct setting_value *value,
		     struct spec_mount *mount)
{
	const char *reserved = reserved_target(mount->target);
	int r;

	if (reserved)
		return log_error(-EINVAL, "%s: nothing can be mounted on %s, %s is redd's own",
				 value->origin, mount->target, reserved);
	if (mount->idmap != SPEC_IDMAP_NONE && resolution->spec->users == SPEC_USERS_NONE)
		return log_error(-EINVAL,
				 "%s: an idmap option needs a user namespace, and %s asks for none",
				 value->origin,
				 settings_get(resolution->settings, SETTING_PRIVATE_USERS)->origin);
	r = spec_add_mount(resolution->spec, mount);
	if (r == -E2BIG)
		return log_error(-EINVAL, "%s: more than %d mounts", value->origin,
				 SPEC_MOUNTS_MAX);
	if (r < 0)
		return log_oom();
	*mount = (struct spec_mount){};
	return 0;
}

static int add_bind(struct resolution *resolution, const struct setting_value *value,
		    bool read_only)
{
	static const enum spec_idmap idmaps[] = {
		[VALUE_IDMAP_NONE] = SPEC_IDMAP_NONE,
		[VALUE_IDMAP_IDMAP] = SPEC_IDMAP_IDMAP,
		[VALUE_IDMAP_ROOT] = SPEC_IDMAP_ROOT,
		[VALUE_IDMAP_OWNER] = SPEC_IDMAP_OWNER,
	};
	autocall(mount_done) struct spec_mount mount = {};
	struct value_bind bind;

	if (value_parse_bind(value->text, &bind) < 0)
		return log_oom();
	mount = (struct spec_mount){
		.kind = SPEC_MOUNT_BIND,
		.source = bind.source,
		.source_in_image = bind.source_in_image,
		.target = bind.target,
		.read_only = read_only,
		.recursive = bind.recursive,
		.idmap = idmaps[bind.idmap],
	};
	return add_mount(resolution, value, &mount);
}

static int add_tmpfs(struct resolution *resolution, const struct setting_value *value)
{
	autocall(mount_done) struct spec_mount mount = {};
	struct value_tmpfs tmpfs;

	if (value_parse_tmpfs(value->text, &tmpfs) < 0)
		return log_oom();
	mount = (struct spec_mount){
		.kind = SPEC_MOUNT_TMPFS,
		.target = tmpfs.target,
		.options = tmpfs.options,
	};
	return add_mount(resolution, value, &mount);
}

/* The next value, in the order given, of three lists; its setting in *ret_id. NULL at their end. */
static const struct setting_value *next_value(const struct settings *settings, size_t next[3],
					      enum setting_id *ret_id)
{
	static const enum setting_id ids[] = {SETTING_BIND, SETTING_BIND_RO, SETTING_TMPFS};
	const struct setting_value *first = NULL;
	size_t *taken = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const struct setting_values *values = &settings->rows[ids[i]];

		if (next[i] == values->count ||
		    (first && values->items[next[i]].order > first->order))
			continue;
		first = &values->items[next[i]];
		taken = &next[i];
		*ret_id = ids[i];
	}
	if (taken)
		(*taken)++;
	return first;
}

/* A parent sorts before what is in it; mounts on the same target keep their order. */
static void sort_mounts(struct spec *spec)
{
	for (size_t i = 1; i < spec->mount_count; i++) {
		struct spec_mount mount = spec->mounts[i];
		size_t j = i;

		for (; j > 0 && strcmp(spec->mounts[j - 1].target, mount.target) > 0; j--)
			spec->mounts[j] = spec->mounts[j - 1];
		spec->mounts[j] = mount;
	}
}

int spec_resolve_mounts(struct resolution *resolution)
{
	const struct setting_value *value;
	enum setting_id id = SETTING_BIND;
	size_t next[3] = {};

	while ((value = next_value(resolution->settings, next, &id))) {
		int r = id == SETTING_TMPFS ? add_tmpfs(resolution, value)
					    : add_bind(resolution, value, id == SETTING_BIND_RO);

		if (r < 0)
			return r;
	}
	sort_mounts(resolution->spec);
	return 0;
}
