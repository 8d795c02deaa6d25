/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* String vectors and the growing buffer. */
#include "check.h"
#include "lib/str.h"

static void test_empty(void **state)
{
	assert_int_equal(strv_length(NULL), 0);
	assert_false(strv_contains(NULL, "a"));
	assert_null(strv_copy(NULL));
	assert_null(strv_free(NULL));
}

static void test_add_many(void **state)
{
	autostrv char **v = NULL;
	autostrv char **copy = NULL;
	char text[16];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(strv_add(&v, text), 0);
		assert_int_equal(strv_length(v), i + 1);
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(atoi(v[i]), i);
	assert_true(strv_contains(v, "999"));
	assert_false(strv_contains(v, "1000"));
	copy = strv_copy(v);
	assert_int_equal(strv_length(copy), 1000);
	assert_string_equal(copy[999], "999");
	assert_int_equal(strv_add(&copy, "more"), 0);
	assert_int_equal(strv_add_owned(&v, NULL), -ENOMEM);
	assert_int_equal(strv_length(v), 1000);
}

static void test_split_and_join(void **state)
{
	static const struct {
		const char *text, *joined;
	} rows[] = {
		{"", ""}, {",,", ""}, {"a", "a"}, {"a,b", "a|b"}, {",a:,b,", "a|b"}, {"a b", "a b"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autostrv char **v = NULL;
		autofree char *joined = NULL;

		assert_int_equal(strv_split(rows[i].text, ",:", &v), 0);
		joined = strv_join(v, "|");
		assert_string_equal(joined, rows[i].joined);
	}
}

static void test_split_quoted(void **state)
{
	static const struct {
		const char *text, *joined; /* NULL: -EINVAL */
	} rows[] = {
		{"", ""},
		{"  ", ""},
		{" a  b ", "a|b"},
		{"'a b' c", "a b|c"},
		{"\"a b\"c", "a bc"},
		{"a\\ b", "a b"},
		{"'' b", "|b"},
		{"'a\\b'", "a\\b"},
		{"\"a\\\"b\\n\"", "a\"b\\n"},
		{"x='1 2' y", "x=1 2|y"},
		{"'a", NULL},
		{"\"a", NULL},
		{"\"a\\", NULL},
		{"a\\", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autostrv char **v = NULL;
		autofree char *joined = NULL;
		int r = strv_split_quoted(rows[i].text, &v);

		assert_int_equal(r, rows[i].joined ? 0 : -EINVAL);
		if (r < 0) {
			assert_null(v);
			continue;
		}
		joined = strv_join(v, "|");
		assert_string_equal(joined, rows[i].joined);
	}
}

static void test_buffer(void **state)
{
	autobuf struct buf b = {};
	autofree char *s = NULL;

	buf_add(&b, "a\0b", 3);
	buf_add_str(&b, "cd");
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.size, 5 + 10 * 2 + 90 * 3 + 100 * 4);
	assert_memory_equal(b.data, "a\0bcd0,1,", 9);
	assert_int_equal(b.data[b.size], '\0');
	assert_int_equal(buf_take(&b, &s), 0);
	assert_memory_equal(s, "a\0bcd0,1,", 9);
	assert_null(b.data);
	assert_int_equal(b.size, 0);
}

static void test_empty_buffer_is_a_string(void **state)
{
	struct buf b = {};
	autofree char *s = NULL;

	assert_int_equal(buf_take(&b, &s), 0);
	assert_string_equal(s, "");
}

static void test_buffer_error_sticks(void **state)
{
	autobuf struct buf b = {};
	char *s = (char *)"unchanged";

	buf_add_str(&b, "a");
	buf_add(&b, "", SIZE_MAX);
	buf_add_str(&b, "b");
	buf_printf(&b, "c");
	assert_int_equal(b.error, -ENOMEM);
	assert_int_equal(b.size, 1);
	assert_int_equal(buf_take(&b, &s), -ENOMEM);
	assert_string_equal(s, "unchanged");
	assert_int_equal(b.error, 0);
	assert_null(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_add_many),
		cmocka_unit_test(test_split_and_join),
		cmocka_unit_test(test_split_quoted),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_empty_buffer_is_a_string),
		cmocka_unit_test(test_buffer_error_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
