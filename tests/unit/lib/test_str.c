/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings: prefixes, stripping, escaping for terminals, and suggestions. */
#include "check.h"
#include "lib/str.h"

static void test_prefix_and_suffix(void **state)
{
	assert_string_equal(str_after_prefix("--bind=x", "--bind="), "x");
	assert_string_equal(str_after_prefix("ab", "ab"), "");
	assert_string_equal(str_after_prefix("ab", ""), "ab");
	assert_null(str_after_prefix("a", "ab"));
	assert_true(str_has_suffix("a.tar.xz", ".xz"));
	assert_true(str_has_suffix("", ""));
	assert_false(str_has_suffix("xz", ".xz"));
	assert_true(str_is_empty(NULL) && str_is_empty("") && !str_is_empty(" "));
	assert_true(streq_null(NULL, NULL) && !streq_null("", NULL) && streq_null("a", "a"));
}

static void test_printf_and_replace(void **state)
{
	autofree char *s = str_printf("%s-%d", "a", 7);

	assert_string_equal(s, "a-7");
	assert_int_equal(str_replace(&s, "b"), 0);
	assert_string_equal(s, "b");
	assert_int_equal(str_replace(&s, s), 0);
	assert_string_equal(s, "b");
	assert_int_equal(str_replace(&s, NULL), 0);
	assert_null(s);
}

static void test_strip(void **state)
{
	char both[] = " \t a b \r\n", none[] = "a", blank[] = " \v\f ", empty[] = "";

	assert_string_equal(str_strip(both), "a b");
	assert_string_equal(str_strip(none), "a");
	assert_string_equal(str_strip(blank), "");
	assert_string_equal(str_strip(empty), "");
}

static void test_escape(void **state)
{
	static const struct {
		const char *text, *escaped;
	} rows[] = {
		{"", ""},
		{"plain ~", "plain ~"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f",
		 "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f"},
		{"\033[2J", "\\x1b[2J"},
		{"a\nb\tc\rd\x7f", "a\\x0ab\\x09c\\x0dd\\x7f"},
		{"\xc2\x9b"
		 "2J",
		 "\\u{009b}2J"}, /* C1 CSI as UTF-8 */
		{"\x9b"
		 "2J",
		 "\\x9b2J"}, /* C1 CSI as a byte */
		{"\xe2\x80\xae"
		 "x",
		 "\\u{202e}x"}, /* right-to-left override */
		{"\xe2\x81\xa6"
		 "x",
		 "\\u{2066}x"},				      /* isolate */
		{"\xd8\x9c", "\\u{061c}"},		      /* Arabic letter mark */
		{"\xe2\x80\xa8", "\\u{2028}"},		      /* line separator */
		{"\xf3\xa0\x81\x81", "\\u{e0041}"},	      /* invisible tag letter */
		{"\xc0\xaf", "\\xc0\\xaf"},		      /* over-long */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},	      /* over-long */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
		{"\xff\xfe", "\\xff\\xfe"},
		{"\xe2\x82", "\\xe2\\x82"}, /* cut short */
		{"\xc3", "\\xc3"},
		{"\xc3(", "\\xc3("},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *escaped = str_escape(rows[i].text);

		assert_string_equal(escaped, rows[i].escaped);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = {
		"bind",
		"bind-ro",
		"private-network",
		"private-users",
		"start",
		"status",
		"stop",
		"x",
		"a-word-of-more-than-sixty-three-bytes-which-no-option-of-ours-will-ever-have",
		NULL};
	static const struct {
		const char *word, *nearest;
	} rows[] = {
		{"privte-network", "private-network"},
		{"privateusers", "private-users"},
		{"bnid", "bind"}, /* a swap counts once */
		{"satrt", "start"},
		{"statsu", "status"},
		{"bind", "bind"},
		{"zzzzzzzz", NULL},
		{"", NULL},
		{"y", NULL}, /* one letter could stand for any word */
		{"a-word-of-more-than-sixty-three-bytes-which-no-option-of-ours-will-ever-havX",
		 NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *nearest = str_nearest(rows[i].word, words);

		if (rows[i].nearest)
			assert_string_equal(nearest, rows[i].nearest);
		else
			assert_null(nearest);
	}
}

static void test_plain(void **state)
{
	static const struct {
		const char *raw, *plain;
	} rows[] = {
		{"plain", "plain"},
		{"[\x1b[0;32m  OK  \x1b[0m] Started", "[  OK  ] Started"},
		{"\x1b]0;title\x07text", "text"},
		{"\x1b]0;title\x1b\\text", "text"},
		{"\x1bP1$r\x1b\\text", "text"},
		{"\x1b(Btext\x1b"
		 "c",
		 "text"},
		{"\x1b[31", ""},
		{"\x1b", ""},
		{"\x1b]0;never ends", ""},
		{"a\x1b[\x01"
		 "b",
		 "a\\x01b"},
		{"bell\x07", "bell\\x07"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *plain = str_plain(rows[i].raw);

		assert_string_equal(plain, rows[i].plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_and_suffix),
		cmocka_unit_test(test_printf_and_replace),
		cmocka_unit_test(test_strip),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
