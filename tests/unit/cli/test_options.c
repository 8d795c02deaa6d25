// SPDX-License-Identifier: LGPL-2.1-or-later
/* The options common to all verbs, and the table of verbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/options.h"
#include "cli/verbs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

static char last_message[512];
static char **kept; /* for members of struct cli to point to */

static void keep_first(enum log_level level, const char *line, void *userdata)
{
	if (last_message[0] == '\0')
		(void)snprintf(last_message, sizeof(last_message), "%s", line);
}

/* Parses the words of `line`; the number of words used, or -errno. */
static int take(struct cli *cli, const char *line, enum options_wish *wish)
{
	autostrv char **words = NULL;
	char *argv[16] = {};
	int argc = 0, index = 0, r;

	assert_int_equal(strv_split(line, " ", &words), 0);
	for (char **word = words; word && *word; word++) {
		argv[argc] = strdup(*word);
		assert_int_equal(strv_add_owned(&kept, argv[argc++]), 0);
	}
	last_message[0] = '\0';
	*wish = OPTIONS_RUN;
	options_init(cli);
	r = options_take(cli, argc, argv, &index, wish);
	return r < 0 ? r : index;
}

static void test_values(void **unused)
{
	enum options_wish wish;
	struct cli cli;

	assert_int_equal(take(&cli, "-qa -n5 --json=short --timeout 1min -s KILL list", &wish), 7);
	assert_true(cli.quiet && cli.all && cli.legend);
	assert_int_equal(cli.lines, 5);
	assert_int_equal(cli.json, CLI_JSON_SHORT);
	assert_true(cli.timeout_us == 60000000);
	assert_int_equal(cli.signal, SIGKILL);
	options_done(&cli);
	assert_int_equal(take(&cli, "-p Name,Leader -p OS --no-legend", &wish), 5);
	assert_int_equal(strv_length(cli.properties), 3);
	assert_false(cli.legend);
	options_done(&cli);
	assert_int_equal(take(&cli, "-P Name -E A=b", &wish), 4);
	assert_true(cli.value);
	assert_string_equal(cli.environment[0], "A=b");
	options_done(&cli);
}

static void test_wishes(void **unused)
{
	enum options_wish wish;
	struct cli cli;

	assert_int_equal(take(&cli, "--help", &wish), 1);
	assert_int_equal(wish, OPTIONS_HELP);
	assert_int_equal(take(&cli, "--version", &wish), 1);
	assert_int_equal(wish, OPTIONS_VERSION);
}

/* security row: X07 */
/* X07: a name without a value passes the caller's value; if the caller has none, nothing. */
static void test_environment_of_the_caller(void **unused)
{
	enum options_wish wish;
	struct cli cli;

	assert_int_equal(setenv("REDD_TEST", "x y", 1), 0);
	assert_int_equal(unsetenv("REDD_NONE"), 0);
	assert_int_equal(take(&cli, "-E REDD_TEST -E REDD_NONE", &wish), 4);
	assert_int_equal(strv_length(cli.environment), 1);
	assert_string_equal(cli.environment[0], "REDD_TEST=x y");
	options_done(&cli);
}

static void test_refused(void **unused)
{
	static const char *const lines[][2] = {
		{"--jsn", "no such option: --jsn"},
		{"-Z", "no such option: -Z"},
		{"--quiet=yes", "--quiet takes no value"},
		{"--lines", "--lines needs a value"},
		{"-n", "-n needs a value"},
		{"-n -1", "-n: '-1' is not a valid N"},
		{"--json=yes", "--json: 'yes' is not a valid short|pretty|off"},
		{"-s NOPE", "-s: 'NOPE' is not a valid SIGNAL"},
		{"-E =x", "-E: '=x' is not a valid NAME[=VALUE]"},
		{"--timeout=never", "--timeout: 'never' is not a valid TIME"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		enum options_wish wish;
		struct cli cli;

		assert_int_equal(take(&cli, lines[i][0], &wish), -EINVAL);
		assert_non_null(strstr(last_message, lines[i][1]));
		options_done(&cli);
	}
}

static void test_arguments_end_options(void **unused)
{
	enum options_wish wish;
	struct cli cli;

	assert_int_equal(take(&cli, "-q list -a", &wish), 1);
	assert_false(cli.all);
	/* "-" is an argument, for standard input. */
	assert_int_equal(take(&cli, "- -q", &wish), 0);
}

static void test_verbs(void **unused)
{
	assert_ptr_equal(verb_find("poweroff"), verb_find("stop"));
	assert_ptr_equal(verb_find("reboot"), verb_find("restart"));
	assert_null(verb_find("nothing"));
	assert_null(verb_find(""));
	assert_int_equal(verb_find("shell")->kind, VERB_KIND_COMMAND);
	assert_int_equal(verb_check_arguments(verb_find("login"), 1), 0);
	last_message[0] = '\0';
	assert_int_equal(verb_check_arguments(verb_find("login"), 2), -EINVAL);
	assert_non_null(strstr(last_message, "login: too many arguments"));
	last_message[0] = '\0';
	assert_int_equal(verb_say_unknown("statsu"), CLI_EXIT_USAGE);
	assert_non_null(strstr(last_message, "no such verb: 'statsu'"));
}

static int free_kept(void **unused)
{
	kept = strv_free(kept);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_environment_of_the_caller),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_arguments_end_options),
		cmocka_unit_test(test_verbs),
	};

	log_set_sink(keep_first, NULL);
	return cmocka_run_group_tests(tests, NULL, free_kept);
}
