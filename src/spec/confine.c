/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a machine may do: users, capabilities, limits. Must never clip to what this host
 * can give: that is the plan's. Caller's side of clone().
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/caps.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/value.h"
#include "spec/resolve.h"

int spec_resolve_users(struct resolution *resolution)
{
	static const enum spec_users modes[] = {
		[VALUE_USERS_NO] = SPEC_USERS_NONE,
		[VALUE_USERS_YES] = SPEC_USERS_OWNER,
		[VALUE_USERS_PICK] = SPEC_USERS_PICK,
		[VALUE_USERS_FIXED] = SPEC_USERS_FIXED,
		[VALUE_USERS_IDENTITY] = SPEC_USERS_IDENTITY,
	};
	const char *text = settings_text(resolution->settings, SETTING_PRIVATE_USERS);
	/* Unlike systemd-nspawn's, our `run` has a user namespace where nobody says otherwise. */
	struct value_users users = {.mode = VALUE_USERS_PICK};

	if (text)
		(void)value_parse_users(text, &users);
	resolution->spec->users = modes[users.mode];
	resolution->spec->uid_shift = users.shift;
	resolution->spec->uid_range = users.range ? users.range : VALUE_USERS_RANGE;
	return 0;
}

static int collect_capabilities(const struct settings *settings, enum setting_id id, uint64_t *ret)
{
	const struct setting_values *values = &settings->rows[id];
	uint64_t all = 0;

	for (size_t i = 0; i < values->count; i++) {
		const char *bad = NULL;
		uint64_t mask;

		if (caps_parse_list(values->items[i].text, &mask, &bad) < 0)
			return log_error(-EINVAL, "%s: there is no capability \"%s\"",
					 values->items[i].origin, bad);
		all |= mask;
	}
	*ret = all;
	return 0;
}

/* What is granted by name is granted in spite of a default that takes it; what is dropped is gone.
 */
int spec_resolve_capabilities(struct resolution *resolution)
{
	struct spec *spec = resolution->spec;
	uint64_t plus = 0, minus = 0;
	int r = collect_capabilities(resolution->settings, SETTING_CAPABILITY, &plus);

	if (r >= 0)
		r = collect_capabilities(resolution->settings, SETTING_DROP_CAPABILITY, &minus);
	if (r < 0)
		return r;
	spec->caps_bounding = caps_default(spec->users != SPEC_USERS_NONE, spec->private_network);
	spec->caps_bounding |= plus;
	spec->caps_bounding &= ~minus;
	return 0;
}

int spec_resolve_rlimits(struct resolution *resolution)
{
	static const struct {
		enum setting_id id;
		int resource;
		enum value_rlimit_unit unit;
	} rows[] = {
		{SETTING_RLIMIT_CPU, RLIMIT_CPU, VALUE_RLIMIT_SECONDS},
		{SETTING_RLIMIT_FSIZE, RLIMIT_FSIZE, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_DATA, RLIMIT_DATA, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_STACK, RLIMIT_STACK, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_CORE, RLIMIT_CORE, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_RSS, RLIMIT_RSS, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_NOFILE, RLIMIT_NOFILE, VALUE_RLIMIT_COUNT},
		{SETTING_RLIMIT_AS, RLIMIT_AS, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_NPROC, RLIMIT_NPROC, VALUE_RLIMIT_COUNT},
		{SETTING_RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_LOCKS, RLIMIT_LOCKS, VALUE_RLIMIT_COUNT},
		{SETTING_RLIMIT_SIGPENDING, RLIMIT_SIGPENDING, VALUE_RLIMIT_COUNT},
		{SETTING_RLIMIT_MSGQUEUE, RLIMIT_MSGQUEUE, VALUE_RLIMIT_BYTES},
		{SETTING_RLIMIT_NICE, RLIMIT_NICE, VALUE_RLIMIT_NICE},
		{SETTING_RLIMIT_RTPRIO, RLIMIT_RTPRIO, VALUE_RLIMIT_COUNT},
		{SETTING_RLIMIT_RTTIME, RLIMIT_RTTIME, VALUE_RLIMIT_MICROSECONDS},
	};

	static_assert(ARRAY_SIZE(rows) == RLIM_NLIMITS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_rlimit *limit = &resolution->spec->rlimits[rows[i].resource];
		const char *text = settings_text(resolution->settings, rows[i].id);

		limit->is_set = text && value_parse_rlimit(text, rows[i].unit, &limit->value) == 0;
	}
	return 0;
}
