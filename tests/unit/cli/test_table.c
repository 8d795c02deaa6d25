/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables as text and as JSON, byte for byte. P11: no control sequences get through. */
#include "check.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"
#include "lib/str.h"
#include "lib/time.h"

static const struct table_column columns[] = {{"NAME", "name", false},
					      {"USAGE", "usage", true},
					      {"OS", "os", false},
					      {NULL, "path", false}};

static char *print(struct table *t, const struct cli *cli)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	/* Memory is no terminal: no width and no colours. */
	assert_int_equal(table_print(t, out, cli, "image", "images"), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static struct table *make(void)
{
	struct table *t = table_new(columns, ARRAY_SIZE(columns));

	table_add_text(t, "a");
	table_add_size(t, 2048);
	table_add_text(t, NULL);
	table_add_text(t, "/x/a");
	table_add_text(t, "longer");
	table_add_size(t, UINT64_MAX);
	table_add_list(t, (char *[]){(char *)"one", (char *)"two", NULL});
	table_add_text(t, NULL);
	return t;
}

static void test_text(void **state)
{
	autotable struct table *t = make();
	autofree char *text = print(t, &(struct cli){.legend = true});

	assert_string_equal(text, "NAME   USAGE OS\n"
				  "a       2.0K -\n"
				  "longer     - one\n"
				  "             two\n"
				  "\n2 images listed.\n");
}

static void test_no_legend(void **state)
{
	autotable struct table *t = make();
	autotable struct table *none = table_new(columns, ARRAY_SIZE(columns));
	autofree char *text = print(t, &(struct cli){});
	autofree char *empty = print(none, &(struct cli){});
	autofree char *empty_legend = print(none, &(struct cli){.legend = true});

	assert_string_equal(text, "a      2.0K -\n"
				  "longer    - one\n"
				  "            two\n");
	assert_string_equal(empty, "");
	assert_string_equal(empty_legend, "No images.\n");
}

static void test_json(void **state)
{
	autotable struct table *t = make();
	autotable struct table *none = table_new(columns, ARRAY_SIZE(columns));
	autofree char *text = print(t, &(struct cli){.json = CLI_JSON_SHORT, .legend = true});
	autofree char *empty = print(none, &(struct cli){.json = CLI_JSON_SHORT});

	assert_string_equal(
		text,
		"[{\"name\":\"a\",\"usage\":2048,\"os\":null,\"path\":\"/x/a\"},"
		"{\"name\":\"longer\",\"usage\":null,\"os\":[\"one\",\"two\"],\"path\":null}]\n");
	assert_string_equal(empty, "[]\n");
}

static void assert_no_commands(const char *text)
{
	static const char *const never[] = {"\033",	"\r",		"\a",  "\177",
					    "\302\233", "\342\200\256", "\377"};

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_null(strstr(text, never[i]));
}

/* security row: P11 */
static void test_hostile_text(void **state)
{
	static const char *const hostile[] = {"\033]0;title\a", "a\rb",	    "a\nb", "\302\233m",
					      "\342\200\256x",	"\377\376", "\177"};

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		autotable struct table *t = table_new(columns, 1);
		autofree char *text = NULL, *json = NULL;

		table_add_text(t, hostile[i]);
		text = print(t, &(struct cli){});
		json = print(t, &(struct cli){.json = CLI_JSON_SHORT});
		assert_no_commands(text);
		assert_no_commands(json);
		assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
		assert_int_equal(strchr(json, '\n') - json, strlen(json) - 1);
	}
}

static void test_widths(void **state)
{
	static const struct {
		const char *text;
		size_t width;
		const char *cut_to_4;
	} rows[] = {
		{"", 0, ""},
		{"abcd", 4, "abcd"},
		{"abcde", 5, "abc…"},
		{"\303\244\303\244\303\244\303\244", 4, "\303\244\303\244\303\244\303\244"},
		{"a\314\201bcde", 5, "a\314\201bc…"},
		{"\346\227\245\346\234\254\350\252\236", 6, "\346\227\245…"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autobuf struct buf b = {};

		assert_int_equal(text_width(rows[i].text), rows[i].width);
		text_add_cut(&b, rows[i].text, 4);
		assert_string_equal(b.data ? b.data : "", rows[i].cut_to_4);
	}
}

static void test_fields(void **state)
{
	autofree char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	field_print(out, "Type", "dir\033");
	field_print(out, "OS", NULL);
	field_print_time(out, "Created", 0);
	field_print_time(out, "Never", USEC_INFINITY);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "            Type: dir\\x1b\n");
}

/* A closed pipe or a full disk is an error. */
static void test_write_error(void **state)
{
	autotable struct table *t = make();
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	assert_int_equal(table_print(t, full, &(struct cli){}, "x", "xs"), -ENOSPC);
	(void)fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	    cmocka_unit_test(test_no_legend),
		cmocka_unit_test(test_json),	    cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_widths),	    cmocka_unit_test(test_fields),
		cmocka_unit_test(test_write_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
