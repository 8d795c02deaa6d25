/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms of resource limits: systemd.exec(5), LimitCPU= and its kin. Must never ask for the
 * limits in force. Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "settings/value.h"

#define USEC_PER_SEC UINT64_C(1000000)
/* getrlimit(2): the ceiling of the nice level is 20 - limit, so 40 is nice -20. */
#define NICE_LIMIT_MAX 40

static int parse_seconds(const char *text, uint64_t *ret)
{
	uint64_t us;
	int r = parse_duration_us(text, &us);

	if (r < 0)
		return r;
	*ret = us == UINT64_MAX ? RLIM_INFINITY : us / USEC_PER_SEC + (us % USEC_PER_SEC != 0);
	return 0;
}

static int parse_microseconds(const char *text, uint64_t *ret)
{
	/* Here a bare number counts microseconds. */
	if (parse_u64(text, ret) == 0)
		return 0;
	return parse_duration_us(text, ret);
}

static int parse_nice(const char *text, uint64_t *ret)
{
	bool is_level = *text == '+' || *text == '-';
	uint64_t value;
	int32_t level;
	int r;

	if (!is_level) {
		r = parse_u64(text, &value);
		if (r < 0)
			return r;
		if (value > NICE_LIMIT_MAX)
			return -ERANGE;
		*ret = value;
		return 0;
	}
	if (*text == '+' && text[1] == '-')
		return -EINVAL;
	r = parse_i32(*text == '+' ? text + 1 : text, &level);
	if (r < 0)
		return r;
	if (level < -20 || level > 19)
		return -ERANGE;
	*ret = (uint64_t)(20 - level);
	return 0;
}

static int parse_limit(const char *text, enum value_rlimit_unit unit, rlim_t *ret)
{
	static int (*const parsers[])(const char *, uint64_t *) = {
		[VALUE_RLIMIT_COUNT] = parse_u64,
		[VALUE_RLIMIT_BYTES] = parse_size,
		[VALUE_RLIMIT_SECONDS] = parse_seconds,
		[VALUE_RLIMIT_MICROSECONDS] = parse_microseconds,
		[VALUE_RLIMIT_NICE] = parse_nice,
	};
	uint64_t value;
	int r;

	if (streq(text, "infinity")) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	r = parsers[unit](text, &value);
	if (r < 0)
		return r;
	*ret = value;
	return 0;
}

int value_parse_rlimit(const char *text, enum value_rlimit_unit unit, struct rlimit *ret)
{
	autofree char *soft = strndup(text, strcspn(text, ":"));
	struct rlimit limit;
	int r;

	if (!soft)
		return -ENOMEM;
	r = parse_limit(soft, unit, &limit.rlim_cur);
	if (r < 0)
		return r;
	limit.rlim_max = limit.rlim_cur;
	if (text[strlen(soft)] == ':')
		r = parse_limit(text + strlen(soft) + 1, unit, &limit.rlim_max);
	if (r < 0)
		return r;
	if (limit.rlim_cur > limit.rlim_max)
		return -EINVAL;
	*ret = limit;
	return 0;
}

#define CHECK(name, unit)                                                                          \
	int value_check_rlimit_##name(const char *text)                                            \
	{                                                                                          \
		struct rlimit limit;                                                               \
                                                                                                   \
		return value_parse_rlimit(text, VALUE_RLIMIT_##unit, &limit);                      \
	}

CHECK(count, COUNT)
CHECK(bytes, BYTES)
CHECK(seconds, SECONDS)
CHECK(microseconds, MICROSECONDS)
CHECK(nice, NICE)
