/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages: wording, escaping, length, errno, and the stderr sink. */
#include "check.h"
#include "lib/io.h"
#include "lib/str.h"
#include "log/log.h"

struct seen {
	unsigned count;
	enum log_level level;
	char *line;
};

static struct seen seen;

static void remember(enum log_level level, const char *line, void *userdata)
{
	struct seen *to = userdata;

	to->count++;
	to->level = level;
	assert_int_equal(str_replace(&to->line, line), 0);
	errno = EXDEV; /* the sink may change errno, but log must not */
}

static int setup(void **state)
{
	log_set_sink(remember, &seen);
	return 0;
}

static int teardown(void **state)
{
	log_set_sink(NULL, NULL);
	free(seen.line);
	seen = (struct seen){};
	return 0;
}

static void test_errno(void **state)
{
	assert_int_equal(log_errno(-ENOENT, "open %s", "x"), -ENOENT);
	assert_string_equal(seen.line, "open x: No such file or directory");
	assert_int_equal(seen.level, LOG_LEVEL_ERROR);
	assert_int_equal(log_errno(0, "nothing"), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(log_errno(-99999, "odd"), -99999);
	assert_non_null(strstr(seen.line, "99999"));
}

static void test_others(void **state)
{
	assert_int_equal(log_error(-EINVAL, "bad %d", 5), -EINVAL);
	assert_string_equal(seen.line, "bad 5");
	assert_int_equal(log_oom(), -ENOMEM);
	assert_string_equal(seen.line, "out of memory");
	log_warning("w");
	assert_int_equal(seen.level, LOG_LEVEL_WARNING);
	log_warning_errno(-EPERM, "chown %s", "f");
	assert_string_equal(seen.line, "chown f: Operation not permitted");
	log_hint("try %s", "this");
	assert_string_equal(seen.line, "      hint: try this");
	log_info("i");
	assert_int_equal(seen.level, LOG_LEVEL_INFO);
	assert_string_equal(seen.line, "i");
}

/* A hint belongs to the message before it. */
static void test_level(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("w");
	log_hint("about w");
	log_info("i");
	assert_int_equal(seen.count, 0);
	log_error(-EINVAL, "e");
	log_hint("about e");
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.line, "      hint: about e");
	log_set_level(LOG_LEVEL_INFO);
	log_warning("w");
	assert_int_equal(seen.count, 3);
}

static void test_escapes(void **state)
{
	log_info("name %s", "a\033[31mb\nc");
	assert_string_equal(seen.line, "name a\\x1b[31mb\\x0ac");
	log_info("caf\xc3\xa9");
	assert_string_equal(seen.line, "caf\xc3\xa9");
}

/* All lengths around the size of the stack buffer, with and without an errno's text. */
static void test_lengths(void **state)
{
	for (int length = 980; length < 1100; length++) {
		autofree char *expected = str_printf("%0*d: Input/output error", length, 0);

		(void)log_errno(-EIO, "%0*d", length, 0);
		assert_string_equal(seen.line, expected);
		log_hint("%0*d", length, 0);
		assert_int_equal(strlen(seen.line), length + 12);
	}
}

static void test_keeps_errno(void **state)
{
	errno = ENODEV;
	log_info("x");
	assert_int_equal(errno, ENODEV);
	(void)log_errno(-EIO, "caf\xc3\xa9 %0*d", 5000, 0);
	assert_int_equal(errno, ENODEV);
}

/* The bytes that `fn` writes to stderr. */
static char *capture_stderr(void (*fn)(void))
{
	autoclose int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	char *text = NULL;

	assert_non_null(file);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	fn();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_int_equal(io_read_fd(fileno(file), 4096, &text, NULL), 0);
	(void)fclose(file);
	return text;
}

static void say_three(void)
{
	log_set_sink(NULL, NULL);
	(void)log_errno(-ENOENT, "open x");
	log_hint("look again");
	log_info("done");
}

static void test_stderr(void **state)
{
	autofree char *text = capture_stderr(say_three);

	assert_string_equal(text, "redd: open x: No such file or directory\n"
				  "      hint: look again\n"
				  "redd: done\n");
}

static char *terminal_output(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	autoclose int saved = dup(STDERR_FILENO);
	char *text = calloc(1, 256);
	int slave;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0 && text);
	assert_true(dup2(slave, STDERR_FILENO) >= 0);
	log_set_sink(NULL, NULL);
	(void)log_error(-EIO, "red");
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_true(read(master, text, 255) > 0);
	(void)close(slave);
	(void)close(master);
	return text;
}

static void test_colour_only_on_terminal(void **state)
{
	autofree char *coloured = NULL;
	autofree char *plain = NULL;

	assert_int_equal(unsetenv("NO_COLOR"), 0);
	coloured = terminal_output();
	assert_non_null(strstr(coloured, "\033["));
	assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
	plain = terminal_output();
	assert_null(strchr(plain, '\033'));
	assert_int_equal(unsetenv("NO_COLOR"), 0);
}

#define log_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(test_errno),	log_test(test_others),
		log_test(test_level),	log_test(test_escapes),
		log_test(test_lengths), log_test(test_keeps_errno),
		log_test(test_stderr),	log_test(test_colour_only_on_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
