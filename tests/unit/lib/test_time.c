/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clocks, and times, spans and sizes as people read them. */
#include <time.h>

#include "check.h"
#include "lib/time.h"

static void test_clocks_run(void **state)
{
	uint64_t first = time_monotonic_us();

	assert_true(first > 0 && time_monotonic_us() >= first);
	assert_true(time_realtime_us() > UINT64_C(1600000000) * USEC_PER_SEC);
}

static void test_dates(void **state)
{
	char buf[40];

	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_string_equal(time_format(UINT64_C(1795444306123456), buf, sizeof(buf)),
			    "Mon 2026-11-23 14:31:46 UTC");
	assert_string_equal(time_format_iso(UINT64_C(1795444306123456), buf, sizeof(buf)),
			    "2026-11-23T14:31:46.123456Z");
	assert_string_equal(time_format_iso(0, buf, sizeof(buf)), "1970-01-01T00:00:00.000000Z");
	assert_string_equal(time_format(USEC_INFINITY, buf, sizeof(buf)), "n/a");
	assert_string_equal(time_format_iso(USEC_INFINITY, buf, sizeof(buf)), "n/a");
	/* Years of six digits must not overflow the buffer. */
	assert_non_null(time_format(USEC_INFINITY - 1, buf, sizeof(buf)));
	assert_non_null(time_format_iso(USEC_INFINITY - 1, buf, sizeof(buf)));
}

static void test_spans(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{1, "1us"},
		{1500, "1ms 500us"},
		{500000, "500ms"},
		{65 * USEC_PER_SEC, "1min 5s"},
		{(3 * 3600 + 120) * USEC_PER_SEC, "3h 2min"},
		{86400 * USEC_PER_SEC, "1 day"},
		{(2 * 86400 + 300) * USEC_PER_SEC, "2 days"},
		{(2 * 86400 + 3600) * USEC_PER_SEC, "2 days 1h"},
		{USEC_INFINITY, "infinity"},
	};
	char buf[40];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(time_format_span(rows[i].us, buf, sizeof(buf)), rows[i].text);
	assert_string_equal(time_format_span(65 * USEC_PER_SEC, buf, 4), "1mi");
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0B"},
		{812, "812B"},
		{1023, "1023B"},
		{1024, "1.0K"},
		{12 << 20, "12.0M"},
		{UINT64_C(3) << 29, "1.5G"},
		{(UINT64_C(1) << 40) - 1, "1023.9G"},
		{UINT64_MAX, "15.9E"},
	};
	char buf[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(size_format(rows[i].bytes, buf, sizeof(buf)), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks_run),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
