/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: each way to write an option, where options end, and messages about mistakes. */
#include "captured_log.h"
#include "settings/table.h"

#define WORDS_MAX 12

static int parse(struct settings *settings, const char *const *words)
{
	char *argv[WORDS_MAX + 2] = {(char *)"run"};
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	return settings_parse_command_line(settings, argc, argv);
}

static void test_ways_to_write(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		enum setting_id id;
		const char *text;
		int first;
	} rows[] = {
		{{"-M", "a"}, SETTING_MACHINE, "a", 3},
		{{"-Ma"}, SETTING_MACHINE, "a", 2},
		{{"--machine=a"}, SETTING_MACHINE, "a", 2},
		{{"--machine", "a"}, SETTING_MACHINE, "a", 3},
		{{"-bqM", "name", "x"}, SETTING_MACHINE, "name", 3},
		{{"-bqMname", "x"}, SETTING_MACHINE, "name", 2},
		{{"-bqM", "name", "x"}, SETTING_BOOT, "yes", 3},
		{{"-bqM", "name", "x"}, SETTING_QUIET, "yes", 3},
		{{"-bqM", "name", "x"}, SETTING_PARAMETERS, "x", 3},
		{{"-M", "a", "-M", "b"}, SETTING_MACHINE, "b", 5},
		{{"--", "-b"}, SETTING_PARAMETERS, "-b", 2},
		{{"ls", "-M", "x"}, SETTING_PARAMETERS, "x", 1},
		{{"-"}, SETTING_PARAMETERS, "-", 1},
		{{"-U"}, SETTING_PRIVATE_USERS, "pick", 2},
		{{"--private-users"}, SETTING_PRIVATE_USERS, "yes", 2},
		{{"--private-users", "no"}, SETTING_PARAMETERS, "no", 2},
		{{"--private-users=no"}, SETTING_PRIVATE_USERS, "no", 2},
		{{"--private-users=65536:1000"}, SETTING_PRIVATE_USERS, "65536:1000", 2},
		{{"-P"}, SETTING_CONSOLE, "pipe", 2},
		{{"--pipe"}, SETTING_CONSOLE, "pipe", 2},
		{{"--user=nobody"}, SETTING_USER, "nobody", 2},
		{{"-u", "0"}, SETTING_USER, "0", 3},
		{{"--rlimit=RLIMIT_NOFILE=10:20"}, SETTING_RLIMIT_NOFILE, "10:20", 2},
		{{"--rlimit", "nofile=10"}, SETTING_RLIMIT_NOFILE, "10", 3},
		{{"--rlimit=LimitCPU=1h"}, SETTING_RLIMIT_CPU, "1h", 2},
		{{"-E", "A=b=c"}, SETTING_ENVIRONMENT, "A=b=c", 3},
		{{"-E", "REDD_TEST_OURS"}, SETTING_ENVIRONMENT, "REDD_TEST_OURS=1 2", 3},
		{{"--setenv=A="}, SETTING_ENVIRONMENT, "A=", 2},
		{{"--bind=/a:/b:ro"}, SETTING_COUNT, NULL, -EINVAL},
		{{"--tmpfs=/a:size=1M"}, SETTING_TMPFS, "/a:size=1M", 2},
		{{"--chdir=/a/../b"}, SETTING_COUNT, NULL, -EINVAL},
		{{"--help", "--nonsense"}, SETTING_HELP, "yes", 2},
		{{"-bh"}, SETTING_HELP, "yes", 2},
	};

	assert_int_equal(setenv("REDD_TEST_OURS", "1 2", 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};

		assert_int_equal(parse(&settings, rows[i].words), rows[i].first);
		if (rows[i].text)
			assert_string_equal(settings_text(&settings, rows[i].id), rows[i].text);
	}
}

static void test_lists_and_origins(void **state)
{
	static const char *const words[] = {"--bind=/a", "--bind-ro", "/b",
					    "--bind=/c", "-b",	      NULL};
	autosettings struct settings settings = {};
	const struct setting_values *binds = &settings.rows[SETTING_BIND];

	assert_int_equal(parse(&settings, words), 6);
	assert_int_equal(binds->count, 2);
	assert_string_equal(binds->items[0].text, "/a");
	assert_string_equal(binds->items[1].text, "/c");
	assert_string_equal(binds->items[1].origin, "--bind");
	assert_int_equal(binds->items[1].source, SETTING_FROM_OPTION);
	assert_true(binds->items[1].order > settings_get(&settings, SETTING_BIND_RO)->order);
	assert_string_equal(settings_get(&settings, SETTING_BOOT)->origin, "-b");
	assert_string_equal(captured_text(), "");
}

static void test_unset_variable(void **state)
{
	static const char *const words[] = {"-E", "REDD_TEST_UNSET", NULL};
	autosettings struct settings settings = {};

	assert_int_equal(parse(&settings, words), 3);
	assert_null(settings_get(&settings, SETTING_ENVIRONMENT));
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *said;
	} rows[] = {
		{{"--bnd=/a"},
		 "error: unknown option --bnd\nerror:       hint: did you mean --bind?\n"},
		{{"--xyzzyxyzzy"},
		 "error: unknown option --xyzzyxyzzy\nerror:       hint: see redd run --help\n"},
		{{"-y"}, "error: unknown option -y\nerror:       hint: see redd run --help\n"},
		{{"-M"}, "error: option -M needs a value: -M=NAME\n"},
		{{"--boot=no"}, "error: option --boot takes no value\n"},
		{{"--image=/a"},
		 "error: option --image of systemd-nspawn is not supported yet: only "
		 "directory trees can be run so far\n"},
		{{"-j"},
		 "error: option -j of systemd-nspawn is not supported yet: journals aren't linked "
		 "or forwarded so far; see `redd logs`\n"},
		{{"--notify-ready=maybe"}, "error: --notify-ready: \"maybe\" isn't yes or no\n"},
		{{"--bind="},
		 "error: --bind: \"\": an empty source (a temporary directory) is not "
		 "supported yet; use --tmpfs=\n"},
		{{"--rlimit=NOFILE"},
		 "error: --rlimit: \"NOFILE\" isn't NAME=SOFT[:HARD], such as NOFILE=1024:4096\n"},
		{{"--rlimit=FILES=1"}, "error: --rlimit: there is no resource limit \"FILES\"\n"},
		{{"--rlimit=NOFILE=2:1"},
		 "error: --rlimit: \"2:1\" isn't SOFT[:HARD], each a number or infinity\n"},
		{{"--capability=CAP_FOO"},
		 "error: --capability: \"CAP_FOO\" isn't names of capabilities "
		 "such as CAP_NET_ADMIN, or \"all\"\n"},
		{{"-u", "-1"},
		 "error: -u: \"-1\" isn't the name or the number of a user inside the "
		 "machine\n"},
		{{"-E", "1=2"}, "error: -E: \"1=2\" isn't NAME=VALUE\n"},
		{{"-E", "a b"}, "error: -E: \"a b\" isn't NAME=VALUE\n"},
		{{"-M", "a_b"},
		 "error: -M: \"a_b\" isn't letters, digits and inner dashes and dots, 1 to "
		 "64 bytes\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};

		assert_int_equal(parse(&settings, rows[i].words), -EINVAL);
		assert_string_equal(captured_text(), rows[i].said);
	}
}

static void test_old_name(void **state)
{
	static const char *const words[] = {"--user=nobody", NULL};
	autosettings struct settings settings = {};

	assert_int_equal(parse(&settings, words), 2);
	assert_string_equal(captured_text(), "warning: --user is the old name of --uid\n");
}

/* From the table: options that aren't implemented are refused under each of their names, with the
 * reason. */
static void test_every_later_option(void **state)
{
	unsigned count = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];
		const char *later = setting_table[name->id].later;
		autosettings struct settings settings = {};
		autofree char *word = str_printf("--%s%s", name->option ? name->option : "",
						 setting_name_needs_value(name) ? "=x" : "");
		char shorts[] = {'-', name->short_option, '\0'};
		const char *const words[] = {name->option ? word : shorts, "x", NULL};

		if (!later || (!name->option && !name->short_option))
			continue;
		assert_int_equal(parse(&settings, words), -EINVAL);
		assert_non_null(strstr(captured_text(), later));
		count++;
	}
	assert_true(count > 30);
}

/* No two rows share an option, a letter or a key. */
static void test_table_is_unambiguous(void **state)
{
	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];

		if (name->option)
			assert_ptr_equal(setting_by_option(name->option, strlen(name->option)),
					 name);
		if (name->short_option)
			assert_ptr_equal(setting_by_short_option(name->short_option), name);
		if (name->key)
			assert_ptr_equal(setting_by_key(name->section, name->key), name);
		assert_true(name->option || name->short_option || name->key);
	}
}

static void test_groups_and_sections(void **state)
{
	const char *sections[SETTING_SECTIONS_MAX + 1];
	size_t n = 0;

	/* A group is named by one of its own rows. */
	for (int id = 0; id < SETTING_COUNT; id++)
		assert_int_equal(setting_table[setting_table[id].group].group,
				 setting_table[id].group);
	setting_list_sections(sections);
	while (sections[n])
		n++;
	assert_true(n < SETTING_SECTIONS_MAX);
	for (size_t i = 0; i < setting_name_count; i++) {
		size_t found = 0;

		for (size_t j = 0; setting_names[i].section && j < n; j++)
			found += streq(sections[j], setting_names[i].section);
		assert_int_equal(found, setting_names[i].section ? 1 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		captured_test(test_ways_to_write),
		captured_test(test_lists_and_origins),
		captured_test(test_groups_and_sections),
		captured_test(test_unset_variable),
		captured_test(test_mistakes),
		captured_test(test_old_name),
		captured_test(test_every_later_option),
		captured_test(test_table_is_unambiguous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
