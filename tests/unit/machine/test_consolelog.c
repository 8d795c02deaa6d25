// SPDX-License-Identifier: LGPL-2.1-or-later
/* The console log: records, its size limit, and reading it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/str.h"
#include "machine/consolelog.h"
#include "machine/registry.h"
#include "private_run.h"

static bool is_private;

static struct consolelog *open_log(const char *name)
{
	struct consolelog *log;

	if (!is_private)
		skip();
	assert_int_equal(consolelog_open(name, &log), 0);
	return log;
}

static void expect_tail(const char *name, unsigned lines, const char *expected)
{
	autofree char *tail = consolelog_tail(name, lines);

	assert_non_null(tail);
	assert_string_equal(tail, expected);
}

static void write_text(struct consolelog *log, const char *text)
{
	consolelog_write(log, text, strlen(text));
}

static void test_lines(void **unused)
{
	struct consolelog *log = open_log("lines");

	consolelog_mark(log, "started");
	write_text(log, "one\r\ntw");
	assert_true(consolelog_pending(log));
	write_text(log, "o\n\nlogin: ");
	consolelog_flush(log);
	assert_false(consolelog_pending(log));
	write_text(log, "root\r\n\033[1mbold\n");
	consolelog_mark(log, "exited: 0");
	consolelog_close(log);
	expect_tail("lines", 0, "one\ntwo\n\nlogin: root\nbold\n");
	expect_tail("lines", 1, "bold\n");
	expect_tail("lines", 2, "login: root\nbold\n");
	expect_tail("lines", 99, "one\ntwo\n\nlogin: root\nbold\n");
}

static void test_only_the_last_boot(void **unused)
{
	struct consolelog *log = open_log("boots");

	consolelog_mark(log, "started");
	write_text(log, "first\n=started\n");
	consolelog_mark(log, "started");
	expect_tail("boots", 0, "");
	write_text(log, "second\n");
	consolelog_close(log);
	expect_tail("boots", 0, "second\n");
}

static void test_bound(void **unused)
{
	struct consolelog *log = open_log("flood");
	struct stat now, older;
	char block[8192];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 1000; i++)
		consolelog_write(log, block, sizeof(block));
	for (int i = 0; i < 20000; i++)
		write_text(log, "\n\n\n\n\n");
	assert_int_equal(stat(MACHINE_LOG_DIR "/flood.log", &now), 0);
	assert_int_equal(stat(MACHINE_LOG_DIR "/flood.log.1", &older), 0);
	assert_true(now.st_size <= CONSOLELOG_MAX_BYTES);
	assert_true(older.st_size <= CONSOLELOG_MAX_BYTES);
	assert_int_equal(now.st_mode & 0777, 0600);
	consolelog_close(log);
}

static void test_long_line(void **unused)
{
	struct consolelog *log = open_log("long");
	char line[3 * CONSOLELOG_LINE_MAX];
	autofree char *tail = NULL;

	memset(line, 'y', sizeof(line));
	consolelog_write(log, line, sizeof(line));
	write_text(log, "end\n");
	consolelog_close(log);
	tail = consolelog_tail("long", 1);
	assert_int_equal(strlen(tail), sizeof(line) + 4);
}

static void test_nothing_made_before_the_first_record(void **unused)
{
	struct consolelog *log = open_log("quiet");

	consolelog_close(log);
	assert_int_equal(access(MACHINE_LOG_DIR "/quiet.log", F_OK), -1);
	assert_null(consolelog_tail("quiet", 1));
	consolelog_close(NULL);
	assert_int_equal(consolelog_open("../x", &log), -EINVAL);
}

static void test_parse(void **unused)
{
	static const char *const bad[] = {"", "2026", "2026-11-23T14:31:46.123456Z",
					  "2026-11-23T14:31:46.123456Z?x",
					  "2026-11-23 14:31:46.123456Z x"};
	struct consolelog_record record;

	assert_int_equal(consolelog_parse("2026-11-23T14:31:46.123456Z hello", &record), 0);
	assert_string_equal(record.text, "hello");
	assert_int_equal(record.kind, ' ');
	assert_true(record.when_us == UINT64_C(1795444306123456));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(consolelog_parse(bad[i], &record), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_only_the_last_boot),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_nothing_made_before_the_first_record),
		cmocka_unit_test(test_parse),
	};

	is_private = private_run_enter() == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
