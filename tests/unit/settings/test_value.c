/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The forms of values, each with near misses. */
#include "check.h"
#include "image/name.h"
#include "lib/str.h"
#include "settings/value.h"

/* security row: X05 */
/* X05: valid names of users, and words that must never be taken for one. */
static void test_users(void **state)
{
	static const char *const good[] = {
		"0",	      "1",    "1000",	"65534",    "65536",
		"4294967294", "root", "nobody", "_x",	    "a-b",
		"a.b",	      "a_b",  "A1",	"machine$", "systemd-resolve",
	};
	static const char *const bad[] = {
		"",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1a",
		"0x10",
		"1e3",
		"65535",
		"4294967295",
		"4294967296",
		"99999999999999999999",
		"18446744073709551616",
		"1.5",
		"1:1",
		"a:b",
		"a/b",
		"../a",
		"-a",
		".a",
		"a b",
		"a\n",
		"a\t",
		"$",
		"a$b",
		"\xc3\xa4",
		"a\xff",
		"%u",
		"1_000",
		"\xd9\xa1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(value_user_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(value_user_is_valid(bad[i]));
}

/* The image folder has the same rule for names of machines: both accept the same names. */
static void test_hostnames(void **state)
{
	static const char *const names[] = {
		"a",
		"a.b",
		"a-b",
		"A1",
		"0",
		"a.b.c",
		"",
		".",
		".a",
		"a.",
		"a..b",
		"-a",
		"a-",
		"a.-b",
		"a-.b",
		"a_b",
		"a b",
		"a/b",
		"\xc3\xa4",
		".host",
		"a\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(value_check_hostname(names[i]),
				 machine_name_is_valid(names[i]) ? 0 : -EINVAL);
	assert_int_equal(value_check_hostname("a.b"), 0);
	assert_int_equal(value_check_hostname("a."), -EINVAL);
}

static void test_user_ranges(void **state)
{
	static const struct {
		const char *text;
		int r;
		enum value_users_mode mode;
		uint32_t shift, range;
	} rows[] = {
		{"no", 0, VALUE_USERS_NO, 0, 0},
		{"0", 0, VALUE_USERS_NO, 0, 0},
		{"yes", 0, VALUE_USERS_YES, 0, 0},
		{"1", 0, VALUE_USERS_YES, 0, 0},
		{"pick", 0, VALUE_USERS_PICK, 0, 0},
		{"identity", 0, VALUE_USERS_IDENTITY, 0, 65536},
		{"524288", 0, VALUE_USERS_FIXED, 524288, 65536},
		{"0:65536", 0, VALUE_USERS_FIXED, 0, 65536},
		{"4294901759", 0, VALUE_USERS_FIXED, 4294901759, 65536},
		{"4294901760", -ERANGE, 0, 0, 0},
		{"1000:0", -ERANGE, 0, 0, 0},
		{"65535:1", -ERANGE, 0, 0, 0},
		{"4294967296", -ERANGE, 0, 0, 0},
		{"managed", -EINVAL, 0, 0, 0},
		{"5:", -EINVAL, 0, 0, 0},
		{":5", -EINVAL, 0, 0, 0},
		{"5:5:5", -EINVAL, 0, 0, 0},
		{"-5", -EINVAL, 0, 0, 0},
		{"", -EINVAL, 0, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct value_users users = {};

		assert_int_equal(value_parse_users(rows[i].text, &users), rows[i].r);
		assert_int_equal(users.mode, rows[i].mode);
		assert_int_equal(users.shift, rows[i].shift);
		assert_int_equal(users.range, rows[i].range);
	}
}

static void test_binds(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *source, *target;
		bool in_image, recursive;
		enum value_idmap idmap;
	} rows[] = {
		{"/a", 0, "/a", "/a", false, true, VALUE_IDMAP_NONE},
		{"/a:/b", 0, "/a", "/b", false, true, VALUE_IDMAP_NONE},
		{"//a/./b/:/c//d/", 0, "/a/b", "/c/d", false, true, VALUE_IDMAP_NONE},
		{"/a::norbind", 0, "/a", "/a", false, false, VALUE_IDMAP_NONE},
		{"/a:/b:norbind,idmap", 0, "/a", "/b", false, false, VALUE_IDMAP_IDMAP},
		{"/a:/b:rootidmap", 0, "/a", "/b", false, true, VALUE_IDMAP_ROOT},
		{"/a:/b:owneridmap,rbind", 0, "/a", "/b", false, true, VALUE_IDMAP_OWNER},
		{"/a:/b:idmap,noidmap", 0, "/a", "/b", false, true, VALUE_IDMAP_NONE},
		{"+/a", 0, "/a", "/a", true, true, VALUE_IDMAP_NONE},
		{"+/a:/b", 0, "/a", "/b", true, true, VALUE_IDMAP_NONE},
		{"/a\\:b:/c\\\\d", 0, "/a:b", "/c\\d", false, true, VALUE_IDMAP_NONE},
		{"/", 0, "/", "/", false, true, VALUE_IDMAP_NONE},
		{"", -EOPNOTSUPP, NULL, NULL, false, false, 0},
		{":/b", -EOPNOTSUPP, NULL, NULL, false, false, 0},
		{"a", -EINVAL, NULL, NULL, false, false, 0},
		{"+a", -EINVAL, NULL, NULL, false, false, 0},
		{"+", -EINVAL, NULL, NULL, false, false, 0},
		{"/a:b", -EINVAL, NULL, NULL, false, false, 0},
		{"/a:/b/../c", -EINVAL, NULL, NULL, false, false, 0},
		{"/a/..:/b", -EINVAL, NULL, NULL, false, false, 0},
		{"/a:/b:ro", -EINVAL, NULL, NULL, false, false, 0},
		{"/a:/b:rbind:idmap", -EINVAL, NULL, NULL, false, false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autocall(value_bind_done) struct value_bind bind = {};

		assert_int_equal(value_parse_bind(rows[i].text, &bind), rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_string_equal(bind.source, rows[i].source);
		assert_string_equal(bind.target, rows[i].target);
		assert_int_equal(bind.source_in_image, rows[i].in_image);
		assert_int_equal(bind.recursive, rows[i].recursive);
		assert_int_equal(bind.idmap, rows[i].idmap);
	}
}

static void test_tmpfs(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *target, *options;
	} rows[] = {
		{"/a", 0, "/a", "mode=0755"},
		{"/a:", 0, "/a", "mode=0755"},
		{"/a:size=1M,mode=0700", 0, "/a", "size=1M,mode=0700"},
		{"/a\\:b", 0, "/a:b", "mode=0755"},
		{"a", -EINVAL, NULL, NULL},
		{"", -EINVAL, NULL, NULL},
		{"/a/../b", -EINVAL, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autocall(value_tmpfs_done) struct value_tmpfs tmpfs = {};

		assert_int_equal(value_parse_tmpfs(rows[i].text, &tmpfs), rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_string_equal(tmpfs.target, rows[i].target);
		assert_string_equal(tmpfs.options, rows[i].options);
	}
}

static void test_rlimits(void **state)
{
	static const struct {
		const char *text;
		enum value_rlimit_unit unit;
		int r;
		rlim_t soft, hard;
	} rows[] = {
		{"5", VALUE_RLIMIT_COUNT, 0, 5, 5},
		{"5:6", VALUE_RLIMIT_COUNT, 0, 5, 6},
		{"5:infinity", VALUE_RLIMIT_COUNT, 0, 5, RLIM_INFINITY},
		{"infinity", VALUE_RLIMIT_BYTES, 0, RLIM_INFINITY, RLIM_INFINITY},
		{"6:5", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"infinity:5", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"5:", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"-5", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"64M:1G", VALUE_RLIMIT_BYTES, 0, 64 << 20, 1 << 30},
		{"64M", VALUE_RLIMIT_COUNT, -EINVAL, 0, 0},
		{"2min", VALUE_RLIMIT_SECONDS, 0, 120, 120},
		{"1500ms", VALUE_RLIMIT_SECONDS, 0, 2, 2},
		{"10", VALUE_RLIMIT_SECONDS, 0, 10, 10},
		{"10", VALUE_RLIMIT_MICROSECONDS, 0, 10, 10},
		{"10ms", VALUE_RLIMIT_MICROSECONDS, 0, 10000, 10000},
		{"-20", VALUE_RLIMIT_NICE, 0, 40, 40},
		{"+19", VALUE_RLIMIT_NICE, 0, 1, 1},
		{"40", VALUE_RLIMIT_NICE, 0, 40, 40},
		{"0", VALUE_RLIMIT_NICE, 0, 0, 0},
		{"41", VALUE_RLIMIT_NICE, -ERANGE, 0, 0},
		{"-21", VALUE_RLIMIT_NICE, -ERANGE, 0, 0},
		{"+20", VALUE_RLIMIT_NICE, -ERANGE, 0, 0},
		{"+-5", VALUE_RLIMIT_NICE, -EINVAL, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit limit = {};

		assert_int_equal(value_parse_rlimit(rows[i].text, rows[i].unit, &limit), rows[i].r);
		assert_true(limit.rlim_cur == rows[i].soft && limit.rlim_max == rows[i].hard);
	}
}

static void test_checks(void **state)
{
	assert_int_equal(value_check_id128("00000000-0000-0000-0000-000000000000"), -EINVAL);
	assert_int_equal(value_check_id128("00112233-4455-6677-8899-aabbccddeeff"), 0);
	assert_int_equal(value_check_path(""), -EINVAL);
	assert_int_equal(value_check_path("a"), 0);
	assert_int_equal(value_check_path_inside("a"), -EINVAL);
	assert_int_equal(value_check_path_inside("/"), 0);
	assert_int_equal(value_check_path_inside("/a//b/."), 0);
	assert_int_equal(value_check_environment("=a"), -EINVAL);
	assert_int_equal(value_check_environment("a-b=c"), -EINVAL);
	assert_int_equal(value_check_settings_mode("override"), 0);
	assert_int_equal(value_check_settings_mode("maybe"), -EINVAL);
	assert_int_equal(value_check_signal("SIGRTMIN+3"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),	    cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_user_ranges), cmocka_unit_test(test_binds),
		cmocka_unit_test(test_tmpfs),	    cmocka_unit_test(test_rlimits),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
