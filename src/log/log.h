/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for people. Loud layers log exactly once, where the user's noun is known, and return the
 * number. The sink is replaceable (stderr by default, a pipe to `redd start` in a supervisor).
 * The sink and the level are the only state at file scope.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "lib/macro.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
};

/*
 * One finished line without a newline, control bytes already escaped, and without "redd: ": the
 * stderr sink puts that before every line that does not begin with a blank, as hints do. So a line
 * that came over a pipe can be said again with log_error(0, "%s", line).
 */
typedef void (*log_sink_fn)(enum log_level level, const char *line, void *userdata);

void log_set_sink(log_sink_fn sink, void *userdata); /* NULL: back to stderr */
void log_set_level(enum log_level level); /* the last one that is shown; INFO unless set */
/* The line as the stderr sink writes it, for a sink that must not wait for who reads standard
 * error. A new string, or NULL without memory. */
char *log_format_stderr(enum log_level level, const char *line);

/*
 * Prints "redd: <message>: <strerror>" and returns `error` (a negative errno) unchanged, so that
 * `return log_errno(r, "open image %s", name);` is one line. With error 0 it returns 0.
 */
int log_errno(int error, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An error without an errno text: prints the message, returns `error`. */
int log_error(int error, const char *fmt, ...) PRINTF_LIKE(2, 3);
int log_oom(void); /* -ENOMEM */
void log_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warning_errno(int error, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A second line of an error: "      hint: <message>". */
void log_hint(const char *fmt, ...) PRINTF_LIKE(1, 2);
