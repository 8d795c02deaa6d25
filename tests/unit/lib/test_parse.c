/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text to values: what is accepted, what is refused, and with which error. */
#include <signal.h>

#include "check.h"
#include "lib/parse.h"

#define SENTINEL 77

struct row {
	const char *text;
	int error;
	uint64_t value;
};

/* Runs each row through fn(text, &value); an error must leave the value alone. */
#define CHECK_ROWS(fn, type, rows)                                                                 \
	for (size_t i_ = 0; i_ < ARRAY_SIZE(rows); i_++) {                                         \
		type value_ = SENTINEL;                                                            \
		int r_ = fn((rows)[i_].text, &value_);                                             \
                                                                                                   \
		if (r_ != (rows)[i_].error ||                                                      \
		    (uint64_t)value_ != (r_ < 0 ? SENTINEL : (rows)[i_].value))                    \
			fail_msg("%s(\"%s\"): %d, %lld", #fn, (rows)[i_].text, r_,                 \
				 (long long)value_);                                               \
	}

static void test_unsigned(void **state)
{
	static const struct row u64[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999999x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1\n", -EINVAL, 0},
		{"\xd9\xa1", -EINVAL, 0},
	};
	static const struct row u32[] = {
		{"4294967295", 0, UINT32_MAX},
		{"4294967296", -ERANGE, 0},
		{"a", -EINVAL, 0},
	};

	CHECK_ROWS(parse_u64, uint64_t, u64);
	CHECK_ROWS(parse_u32, uint32_t, u32);
}

static void test_signed(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"-0", 0, 0},
		{"-1", 0, (uint64_t)-1},
		{"2147483647", 0, INT32_MAX},
		{"-2147483648", 0, (uint64_t)INT32_MIN},
		{"2147483648", -ERANGE, 0},
		{"-2147483649", -ERANGE, 0},
		{"--1", -EINVAL, 0},
		{"-", -EINVAL, 0},
		{"+1", -EINVAL, 0},
	};

	CHECK_ROWS(parse_i32, int32_t, rows);
}

static void test_bool(void **state)
{
	static const char *const yes[] = {"1", "yes", "Y", "TRUE", "t", "On"};
	static const char *const no[] = {"0", "no", "N", "False", "f", "OFF"};
	static const char *const neither[] = {"", "2", "yess", " yes", "o"};
	bool value;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
}

static void test_uid(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},	      {"1000", 0, 1000},	 {"4294967294", 0, 4294967294},
		{"65535", -ENXIO, 0}, {"4294967295", -ENXIO, 0}, {"4294967296", -ERANGE, 0},
		{"-1", -EINVAL, 0},   {"root", -EINVAL, 0},
	};

	CHECK_ROWS(parse_uid, uint32_t, rows);
}

static void test_size(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"512B", 0, 512},
		{"4K", 0, 4096},
		{"1.5G", 0, 1610612736},
		{"0.1K", 0, 102},
		{"2.000000000000000000000000000001M", 0, 2097152},
		{"15E", 0, UINT64_C(15) << 60},
		{"15.99999999999999999E", 0, UINT64_MAX - 11},
		{"16E", -ERANGE, 0},
		{"16.5E", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"99999999999999999999K", -ERANGE, 0},
		{"99999999999999999999Q", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"1.5B", -EINVAL, 0},
		{"1.K", -EINVAL, 0},
		{".5K", -EINVAL, 0},
		{"4k", -EINVAL, 0},
		{"4KB", -EINVAL, 0},
		{"4 K", -EINVAL, 0},
		{"-4K", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	/* The only row that rounds: compare its distance to the maximum. */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = SENTINEL;
		int r = parse_size(rows[i].text, &value);

		assert_int_equal(r, rows[i].error);
		if (r < 0)
			assert_int_equal(value, SENTINEL);
		else
			assert_true(value - rows[i].value + 16 <= 32);
	}
}

static void test_duration(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"5", 0, 5000000},
		{"90s", 0, 90000000},
		{"2min", 0, 120000000},
		{"500ms", 0, 500000},
		{"7us", 0, 7},
		{"1h 30min", 0, 5400000000},
		{"1h30min", 0, 5400000000},
		{"1.5s", 0, 1500000},
		{"5 min", 0, 300000000},
		{"1min 5", 0, 65000000},
		{"1d", 0, 86400000000},
		{"2 weeks", 0, 1209600000000},
		{"1M", 0, 2629800000000},
		{"1m", 0, 60000000},
		{"infinity", 0, UINT64_MAX},
		{"18446744073709551615us", -ERANGE, 0}, /* would be read as infinity */
		{"18446744073709551616us", -ERANGE, 0},
		{"999999999999y", -ERANGE, 0},
		{"999999999999y 1q", -EINVAL, 0},
		{"18446744073709551614us 5us", -ERANGE, 0},
		{"", -EINVAL, 0},
		{" 5", -EINVAL, 0},
		{"5 ", -EINVAL, 0},
		{"5s ", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"5parsec", -EINVAL, 0},
		{"1.2.3", -EINVAL, 0},
		{"1.2.3s", -EINVAL, 0},
		{"1s.5", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"infinity s", -EINVAL, 0},
		{"Infinity", -EINVAL, 0},
	};

	CHECK_ROWS(parse_duration_us, uint64_t, rows);
}

static void test_signal(void **state)
{
	const struct row rows[] = {
		{"15", 0, SIGTERM},
		{"TERM", 0, SIGTERM},
		{"SIGTERM", 0, SIGTERM},
		{"SIGIOT", 0, SIGABRT},
		{"RTMIN", 0, (uint64_t)SIGRTMIN},
		{"RTMIN+3", 0, (uint64_t)SIGRTMIN + 3},
		{"SIGRTMIN+3", 0, (uint64_t)SIGRTMIN + 3},
		{"RTMIN+0", 0, (uint64_t)SIGRTMIN},
		{"SIGRTMAX-1", 0, (uint64_t)SIGRTMAX - 1},
		{"64", 0, 64},
		{"65", -ERANGE, 0},
		{"99999999999", -ERANGE, 0},
		{"RTMIN+31", -ERANGE, 0},
		{"RTMAX-31", -ERANGE, 0},
		{"0", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"SIG", -EINVAL, 0},
		{"term", -EINVAL, 0},
		{"SIGSIGTERM", -EINVAL, 0},
		{"SIG15", -EINVAL, 0},
		{"RTMIN-1", -EINVAL, 0},
		{"RTMIN+", -EINVAL, 0},
		{"RTMINX", -EINVAL, 0},
		{"-1", -EINVAL, 0},
	};

	CHECK_ROWS(parse_signal, int, rows);
}

static void test_signal_names_round_trip(void **state)
{
	assert_string_equal(signal_to_name(SIGTERM), "TERM");
	assert_string_equal(signal_to_name(SIGABRT), "ABRT");
	assert_string_equal(signal_to_name(SIGRTMIN), "RTMIN");
	assert_string_equal(signal_to_name(SIGRTMIN + 3), "RTMIN+3");
	assert_string_equal(signal_to_name(0), "0");
	assert_string_equal(signal_to_name(-5), "-5");
	for (int i = 1; i <= SIGRTMAX; i++) {
		int number = 0;

		assert_int_equal(parse_signal(signal_to_name(i), &number), 0);
		assert_int_equal(number, i);
	}
}

static void test_id128(void **state)
{
	static const uint8_t expected[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
					     0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
	static const char *const good[] = {"0123456789abcdef0123456789ABCDEF",
					   "01234567-89ab-cdef-0123-456789ABCDEF"};
	static const char *const bad[] = {
		"",
		"0123456789abcdef0123456789abcde",
		"0123456789abcdef0123456789abcdef0",
		"0123456789abcdef0123456789abcdeg",
		"0123-456789ab-cdef-0123-456789abcdef",
		"01234567-89ab-cdef-0123456789abcdef-",
		"01234567-89ab-cdef-0123-456789abcde-",
		"01234567_89ab_cdef_0123_456789abcdef",
		"-01234567-89ab-cdef-0123-456789abcde",
	};
	uint8_t id[16];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		memset(id, 0, sizeof(id));
		assert_int_equal(parse_id128(good[i], id), 0);
		assert_memory_equal(id, expected, sizeof(id));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_id128(bad[i], id), -EINVAL);
	assert_memory_equal(id, expected, sizeof(id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unsigned), cmocka_unit_test(test_signed),
		cmocka_unit_test(test_bool),	 cmocka_unit_test(test_uid),
		cmocka_unit_test(test_size),	 cmocka_unit_test(test_duration),
		cmocka_unit_test(test_signal),	 cmocka_unit_test(test_signal_names_round_trip),
		cmocka_unit_test(test_id128),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
