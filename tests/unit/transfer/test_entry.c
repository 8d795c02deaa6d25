/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of archive entries (A01). */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "lib/macro.h"
#include "transfer/import/entry.h"

static void test_clean_names(void **state)
{
	static const char *const rows[][2] = {
		{"a", "a"},
		{"a/b", "a/b"},
		{"/a", "a"},
		{"///a//b//", "a/b"},
		{"./a", "a"},
		{"a/./b/.", "a/b"},
		{".", ""},
		{"./", ""},
		{"/", ""},
		{"", ""},
		{"...", "..."},
		{"a/..b", "a/..b"},
		{"a/b../", "a/b.."},
		{".hidden", ".hidden"},
		{"-x/\\\n", "-x/\\\n"},
	};
	char name[ENTRY_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(entry_clean_name(rows[i][0], name), 0);
		assert_string_equal(name, rows[i][1]);
	}
}

/* security row: A01 */
static void test_refused_names(void **state)
{
	static const char *const rows[] = {"..",  "../a",   "a/..",    "a/../b",
					   "/..", "./../x", "a//..//b"};
	char name[ENTRY_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(entry_clean_name(rows[i], name), -EXDEV);
}

/* security row: A10 */
static void test_length_limits(void **state)
{
	char raw[2 * ENTRY_NAME_SIZE], name[ENTRY_NAME_SIZE];

	memset(raw, 'a', sizeof(raw));
	raw[255] = '\0';
	assert_int_equal(entry_clean_name(raw, name), 0);
	raw[255] = 'a';
	raw[256] = '\0';
	assert_int_equal(entry_clean_name(raw, name), -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = i % 2 ? '/' : 'a';
	raw[ENTRY_NAME_SIZE - 1] = '\0';
	assert_int_equal(entry_clean_name(raw, name), 0);
	assert_int_equal(strlen(name), ENTRY_NAME_SIZE - 1);
	raw[ENTRY_NAME_SIZE - 1] = '/';
	raw[ENTRY_NAME_SIZE + 9] = '\0';
	assert_int_equal(entry_clean_name(raw, name), -ENAMETOOLONG);
}

static void test_below(void **state)
{
	assert_true(entry_is_below("a/b", "a"));
	assert_true(entry_is_below("a", "a"));
	assert_true(entry_is_below("a", ""));
	assert_false(entry_is_below("ab", "a"));
	assert_false(entry_is_below("a", "a/b"));
	assert_int_equal(entry_parent_length("a"), 0);
	assert_int_equal(entry_parent_length("a/bc/d"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_names),
		cmocka_unit_test(test_refused_names),
		cmocka_unit_test(test_length_limits),
		cmocka_unit_test(test_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
