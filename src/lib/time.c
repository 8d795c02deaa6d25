/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clocks, and times and sizes as people read them. Must never depend on the locale. Parent side of
 * clone() only.
 */
#include "lib/time.h"

#include <stdio.h>
#include <time.h>

#include "lib/macro.h"

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t time_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t time_realtime_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

char *time_format(uint64_t realtime_us, char *buf, size_t size)
{
	time_t seconds = (time_t)(realtime_us / USEC_PER_SEC);
	struct tm tm;

	if (realtime_us == USEC_INFINITY || !localtime_r(&seconds, &tm) ||
	    strftime(buf, size, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
		(void)snprintf(buf, size, "n/a");
	return buf;
}

char *time_format_iso(uint64_t realtime_us, char *buf, size_t size)
{
	time_t seconds = (time_t)(realtime_us / USEC_PER_SEC);
	char date[32];
	struct tm tm;

	if (realtime_us == USEC_INFINITY || !gmtime_r(&seconds, &tm) ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		(void)snprintf(buf, size, "n/a");
	else
		(void)snprintf(buf, size, "%s.%06uZ", date, (unsigned)(realtime_us % USEC_PER_SEC));
	return buf;
}

static const struct span_unit {
	uint64_t us;
	const char *one;
	const char *many;
} span_units[] = {
	{UINT64_C(86400000000), " day", " days"},
	{UINT64_C(3600000000), "h", "h"},
	{UINT64_C(60000000), "min", "min"},
	{UINT64_C(1000000), "s", "s"},
	{UINT64_C(1000), "ms", "ms"},
	{UINT64_C(1), "us", "us"},
};

char *time_format_span(uint64_t span_us, char *buf, size_t size)
{
	const struct span_unit *unit = span_units, *end = span_units + ARRAY_SIZE(span_units);
	uint64_t n, next;

	if (span_us == USEC_INFINITY || span_us == 0) {
		(void)snprintf(buf, size, "%s", span_us ? "infinity" : "0s");
		return buf;
	}
	while (span_us < unit->us)
		unit++;
	n = span_us / unit->us;
	next = unit + 1 < end ? span_us % unit->us / unit[1].us : 0;
	if (next > 0)
		(void)snprintf(buf, size, "%llu%s %llu%s", (unsigned long long)n,
			       n == 1 ? unit->one : unit->many, (unsigned long long)next,
			       unit[1].many);
	else
		(void)snprintf(buf, size, "%llu%s", (unsigned long long)n,
			       n == 1 ? unit->one : unit->many);
	return buf;
}

char *size_format(uint64_t bytes, char *buf, size_t size)
{
	static const char suffixes[] = "BKMGTPE";
	unsigned power = 0;
	uint64_t factor;

	while (power < 6 && bytes >> (10 * (power + 1)) > 0)
		power++;
	factor = UINT64_C(1) << (10 * power);
	if (power == 0)
		(void)snprintf(buf, size, "%lluB", (unsigned long long)bytes);
	else
		(void)snprintf(buf, size, "%llu.%u%c", (unsigned long long)(bytes / factor),
			       (unsigned)((unsigned __int128)(bytes % factor) * 10 / factor),
			       suffixes[power]);
	return buf;
}
