// SPDX-License-Identifier: LGPL-2.1-or-later
/* Varlink messages: strict parsing, and a client that reads no byte too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/str.h"
#include "machine/control.h"

static void test_parse_call(void **unused)
{
	static const char call[] = "{\"method\":\"io.redd.Machine.PowerOff\","
				   "\"parameters\":{\"timeoutUSec\":5}}";
	struct json_object *message, *parameters, *value;
	const char *method;

	assert_int_equal(control_parse_call(call, strlen(call), &message, &method, &parameters), 0);
	assert_string_equal(method, "io.redd.Machine.PowerOff");
	assert_true(json_object_object_get_ex(parameters, "timeoutUSec", &value));
	json_object_put(message);
	assert_int_equal(
		control_parse_call("{\"method\":\"a\"}", 14, &message, &method, &parameters), 0);
	assert_null(parameters);
	json_object_put(message);
}

/* security row: S07 */
/* S07: messages that redd's clients never send. */
static void test_parse_refuses(void **unused)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"1",
		"\"x\"",
		"{}",
		"{\"method\":null}",
		"{\"method\":1}",
		"{\"method\":\"a\",\"parameters\":[]}",
		"{\"method\":\"a\\u0000b\"}",
		"{\"method\":\"a\"}{}",
		"{\"method\":\"a\"",
		"{'method':'a'}",
		"{\"method\":\"a\",}",
		"{\"method\":\"\xff\"}",
		("{\"method\":\"a\",\"parameters\":[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]"
		 "]"
		 "]]]}"),
	};
	struct json_object *message, *parameters;
	const char *method;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = control_parse_call(bad[i], strlen(bad[i]), &message, &method, &parameters);

		if (r != -EBADMSG)
			fail_msg("'%s' gives %d", bad[i], r);
	}
	assert_int_equal(
		control_parse_call("{\"method\":\"a\"}\0", 15, &message, &method, &parameters),
		-EBADMSG);
}

static void test_format(void **unused)
{
	autofree char *reply = NULL, *error = NULL;
	size_t size;

	assert_int_equal(control_format_reply(NULL, &reply, &size), 0);
	assert_string_equal(reply, "{\"parameters\":{}}");
	assert_int_equal(size, strlen(reply));
	assert_int_equal(control_format_error("io.redd.Machine.NotAvailable", NULL, &error, &size),
			 0);
	assert_string_equal(error,
			    "{\"parameters\":{},\"error\":\"io.redd.Machine.NotAvailable\"}");
}

/* Answers one call with fixed bytes; returns the request. */
static int call(const char *answer, size_t size, const char *method, int *ret_socket,
		struct json_object **ret_reply, char **ret_error)
{
	int pair[2], status, r;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		char request[4096];
		ssize_t n = read(pair[1], request, sizeof(request));

		if (n <= 0 || request[n - 1] != '\0' || !strstr(request, method))
			_exit(1);
		if (streq(method, "AttachConsole") && !strstr(request, "\"upgrade\":true"))
			_exit(2);
		_exit(write(pair[1], answer, size) != (ssize_t)size);
	}
	(void)close(pair[1]);
	r = control_call(pair[0], method, NULL, ret_reply, ret_error);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	*ret_socket = pair[0];
	return r;
}

static void test_call(void **unused)
{
	static const char stream[] = "{\"parameters\":{\"a\":1}}\0console";
	struct json_object *reply = NULL;
	autofree char *error = NULL;
	char rest[16] = {};
	int fd;

	assert_int_equal(call(stream, sizeof(stream) - 1, "AttachConsole", &fd, &reply, &error), 0);
	assert_int_equal(read(fd, rest, sizeof(rest) - 1), 7);
	assert_string_equal(rest, "console");
	json_object_put(reply);
	(void)close(fd);
	assert_int_equal(call("{\"error\":\"x.Y\"}", 16, "PowerOff", &fd, &reply, &error),
			 -EREMOTE);
	assert_string_equal(error, "x.Y");
	(void)close(fd);
	assert_int_equal(call("{\"para", 6, "PowerOff", &fd, &reply, &error), -ECONNRESET);
	(void)close(fd);
	assert_int_equal(call("nonsense", 9, "PowerOff", &fd, &reply, &error), -EBADMSG);
	(void)close(fd);
}

static void test_connect_to_nobody(void **unused)
{
	autoclose int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(control_connect(dir), -ESRCH);
	assert_int_equal(control_connect(-1), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_call),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_connect_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
