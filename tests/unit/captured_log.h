/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects messages as one text of lines "level: message", so that tests can compare them exactly.
 */
#pragma once

#include "check.h"
#include "lib/str.h"
#include "log/log.h"

static struct buf captured;

static inline void capture_line(enum log_level level, const char *line, void *userdata)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	buf_printf(&captured, "%s: %s\n", names[level], line);
}

static inline int capture_setup(void **state)
{
	log_set_sink(capture_line, NULL);
	return 0;
}

static inline int capture_teardown(void **state)
{
	log_set_sink(NULL, NULL);
	buf_done(&captured);
	captured = (struct buf){};
	return 0;
}

/* The messages since the last call; valid until the next call. */
static inline const char *captured_text(void)
{
	static char *text;

	free(text);
	text = NULL;
	assert_int_equal(buf_take(&captured, &text), 0);
	return text;
}

#define captured_test(fn) cmocka_unit_test_setup_teardown(fn, capture_setup, capture_teardown)
