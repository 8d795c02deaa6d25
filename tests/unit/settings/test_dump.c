/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Help, JSON, completion and man text from the table; every implemented setting has a description.
 */
#include <json-c/json.h>

#include "check.h"
#include "lib/io.h"
#include "settings/dump.h"
#include "settings/table.h"

static void test_help(void **state)
{
	autobuf struct buf help = {};

	settings_dump_help(&help);
	assert_non_null(strstr(help.data, "General:\n"));
	assert_non_null(strstr(help.data,
			       "\nExecution:\n"
			       "  -a --as-pid2                Run the command as PID 2"));
	assert_non_null(strstr(help.data, "  -U                          The same as"));
	assert_null(strstr(help.data, "--image"));
	for (const char *line = help.data; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		assert_true(strcspn(line, "\n") <= 100);
	}
}

static void test_json(void **state)
{
	autobuf struct buf text = {};
	struct json_object *json, *list, *first, *field;

	settings_dump_json(&text);
	json = json_tokener_parse(text.data);
	assert_non_null(json);
	assert_true(json_object_object_get_ex(json, "settings", &list));
	assert_int_equal(json_object_array_length(list), SETTING_COUNT);
	first = json_object_array_get_idx(list, SETTING_BIND);
	assert_true(json_object_object_get_ex(first, "trust", &field));
	assert_string_equal(json_object_get_string(field), "trusted");
	assert_true(json_object_object_get_ex(first, "list", &field));
	assert_true(json_object_get_boolean(field));
	json_object_put(json);
}

static void test_completion(void **state)
{
	autobuf struct buf words = {};

	settings_dump_completion(&words);
	assert_non_null(strstr(words.data, "\n--bind=\n"));
	assert_non_null(strstr(words.data, "\n--boot\n-b\n"));
	assert_null(strstr(words.data, "--image"));
}

/* A key stands below the heading of its own section, so no section is missing. */
static void assert_every_key_has_its_section(const char *text)
{
	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];
		autofree char *heading = NULL, *key = NULL;
		const char *from, *at, *end;

		if (!name->key || name->alias || setting_table[name->id].later)
			continue;
		heading = str_printf("# SECTION %s\n", name->section);
		key = str_printf("*%s=*", name->key);
		from = strstr(text, heading);
		assert_non_null(from);
		end = strstr(from + 1, "\n# ");
		at = strstr(from, key);
		assert_true(at && at < end);
	}
}

static void test_man(void **state)
{
	autofree char *prose = NULL;
	autobuf struct buf options = {}, keys = {};
	const char *missing = "";

	assert_non_null(getenv("SETTINGS_PROSE"));
	assert_int_equal(io_read_file_at(AT_FDCWD, getenv("SETTINGS_PROSE"), 1 << 20, &prose, NULL),
			 0);
	(void)settings_dump_man_options(&options, prose, &missing);
	assert_string_equal(missing, "");
	(void)settings_dump_man_keys(&keys, prose, &missing);
	assert_string_equal(missing, "");
	assert_non_null(strstr(options.data, "*-D*, *--directory*=PATH\n\t"));
	assert_non_null(strstr(options.data, "*-E*, *--setenv*=NAME\\[=VALUE]\n\t"));
	assert_non_null(strstr(keys.data, "*Bind=* (trusted files only)\n\t"));
	assert_non_null(strstr(keys.data, "*LimitCPU=*, *LimitFSIZE=*, "));
	assert_non_null(strstr(keys.data, "# KEYS NOT HONOURED YET\n"));
	assert_every_key_has_its_section(keys.data);
}

static void test_missing_prose(void **state)
{
	autobuf struct buf out = {};
	const char *missing = NULL;

	assert_int_equal(settings_dump_man_options(&out, "@HELP\ntext\n", &missing), -ENOENT);
	assert_string_equal(missing, "VERSION");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help),	      cmocka_unit_test(test_json),
		cmocka_unit_test(test_completion),    cmocka_unit_test(test_man),
		cmocka_unit_test(test_missing_prose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
