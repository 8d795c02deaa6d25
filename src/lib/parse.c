/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers, booleans and identifiers from text. Must never accept a value that it did not read in
 * full, and never depends on the locale. Parent side of clone() only.
 */
#include "lib/parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/macro.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the digits at *s; -EINVAL without any, -ERANGE beyond `max`; *s ends behind them. */
static int scan_digits(const char **s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	bool too_large = false;

	if (!is_digit(**s))
		return -EINVAL;
	for (; is_digit(**s); (*s)++) {
		too_large |= __builtin_mul_overflow(value, UINT64_C(10), &value);
		too_large |= __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value);
	}
	if (too_large || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

static int parse_digits(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r = scan_digits(&s, max, &value);

	/* The form comes first: "99999999999x" is no number at all. */
	if (*s)
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = value;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	return parse_digits(s, UINT64_MAX, ret);
}

int parse_u32(const char *s, uint32_t *ret)
{
	uint64_t value;
	int r = parse_digits(s, UINT32_MAX, &value);

	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

int parse_i32(const char *s, int32_t *ret)
{
	bool negative = *s == '-';
	uint64_t value;
	int r = parse_digits(negative ? s + 1 : s, (uint64_t)INT32_MAX + negative, &value);

	if (r < 0)
		return r;
	*ret = (int32_t)(negative ? -(int64_t)value : (int64_t)value);
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const words[][2] = {
		{"0", "1"}, {"no", "yes"}, {"n", "y"}, {"false", "true"}, {"f", "t"}, {"off", "on"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

int parse_uid(const char *s, uint32_t *ret)
{
	uint32_t uid;
	int r = parse_u32(s, &uid);

	if (r < 0)
		return r;
	if (uid == UINT16_MAX || uid == UINT32_MAX)
		return -ENXIO;
	*ret = uid;
	return 0;
}

/* A number with an optional fraction: whole + part / scale. */
struct decimal {
	uint64_t whole;
	uint64_t part;
	uint64_t scale; /* 1 when there is no fraction */
};

static int scan_decimal(const char **s, struct decimal *ret)
{
	struct decimal d = {.scale = 1};
	int r = scan_digits(s, UINT64_MAX, &d.whole);

	if (r == -EINVAL)
		return r;
	if (**s == '.') {
		(*s)++;
		if (!is_digit(**s))
			return -EINVAL;
		for (; is_digit(**s); (*s)++) {
			/* Digits beyond 10^-18 can't change a byte or a microsecond we can count.
			 */
			if (d.scale >= UINT64_C(1000000000000000000))
				continue;
			d.part = d.part * 10 + (uint64_t)(**s - '0');
			d.scale *= 10;
		}
	}
	*ret = d;
	return r;
}

static int decimal_multiply(const struct decimal *d, uint64_t factor, uint64_t *ret)
{
	uint64_t part = (uint64_t)((unsigned __int128)d->part * factor / d->scale), product;

	if (__builtin_mul_overflow(d->whole, factor, &product) ||
	    __builtin_add_overflow(product, part, &product))
		return -ERANGE;
	*ret = product;
	return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "BKMGTPE";
	struct decimal d;
	const char *suffix = NULL;
	int r = scan_decimal(&s, &d);

	if (r == -EINVAL)
		return r;
	if (*s) {
		suffix = strchr(suffixes, *s);
		if (!suffix || s[1])
			return -EINVAL;
	}
	if (r < 0)
		return r;
	/* There is no half of a byte. */
	if (d.scale > 1 && (!suffix || suffix == suffixes))
		return -EINVAL;
	return decimal_multiply(&d, UINT64_C(1) << (suffix ? 10 * (suffix - suffixes) : 0), ret);
}

static const struct {
	const char *name;
	uint64_t us;
} duration_units[] = {
	{"us", 1},
	{"usec", 1},
	{"ms", 1000},
	{"msec", 1000},
	{"s", 1000000},
	{"sec", 1000000},
	{"second", 1000000},
	{"seconds", 1000000},
	{"m", 60000000},
	{"min", 60000000},
	{"minute", 60000000},
	{"minutes", 60000000},
	{"h", 3600000000},
	{"hr", 3600000000},
	{"hour", 3600000000},
	{"hours", 3600000000},
	{"d", 86400000000},
	{"day", 86400000000},
	{"days", 86400000000},
	{"w", 604800000000},
	{"week", 604800000000},
	{"weeks", 604800000000},
	{"M", 2629800000000},
	{"month", 2629800000000},
	{"months", 2629800000000},
	{"y", 31557600000000},
	{"year", 31557600000000},
	{"years", 31557600000000},
};

/* Reads the unit at *s; microseconds, 0 when there is no such unit; seconds when none is given. */
static uint64_t scan_duration_unit(const char **s)
{
	size_t length = strcspn(*s, " 0123456789.");

	if (length == 0)
		return 1000000;
	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
		if (strlen(duration_units[i].name) == length &&
		    memcmp(duration_units[i].name, *s, length) == 0) {
			*s += length;
			return duration_units[i].us;
		}
	return 0;
}

int parse_duration_us(const char *s, uint64_t *ret)
{
	uint64_t sum = 0;
	int error = 0;

	if (strcmp(s, "infinity") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	do {
		struct decimal d;
		uint64_t unit, us = 0;
		int r = scan_decimal(&s, &d);

		if (r == -EINVAL)
			return r;
		s += strspn(s, " ");
		unit = scan_duration_unit(&s);
		if (unit == 0 || (s[0] && s[-1] != ' ' && s[0] == '.'))
			return -EINVAL;
		if (r < 0 || decimal_multiply(&d, unit, &us) < 0 ||
		    __builtin_add_overflow(sum, us, &sum) || sum == UINT64_MAX)
			error = -ERANGE;
		s += strspn(s, " ");
	} while (*s);
	if (s[-1] == ' ')
		return -EINVAL;
	if (error)
		return error;
	*ret = sum;
	return 0;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int parse_id128(const char *s, uint8_t ret[16])
{
	bool dashes = strlen(s) == 36;
	uint8_t id[16] = {};

	for (int i = 0; i < 32; i++) {
		int value;

		if (dashes && (i == 8 || i == 12 || i == 16 || i == 20) && *s++ != '-')
			return -EINVAL;
		value = hex_value(*s);
		if (value < 0)
			return -EINVAL;
		id[i / 2] = (uint8_t)(id[i / 2] << 4 | value);
		s++;
	}
	if (*s)
		return -EINVAL;
	memcpy(ret, id, sizeof(id));
	return 0;
}
