/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for people, to a replaceable sink. Must never change errno, and never passes a control
 * byte on to a terminal. Parent side of clone() only.
 */
#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/str.h"

/* A line up to this size is put together without allocation. */
#define LINE_SIZE 1024
#define PROGRAM_PREFIX "redd: "
#define HINT_PREFIX "      hint: "

static struct {
	log_sink_fn sink;
	void *userdata;
	enum log_level level;
	bool hides_hint; /* the message it belongs to was not shown */
} state = {.level = LOG_LEVEL_INFO};

void log_set_sink(log_sink_fn sink, void *userdata)
{
	state.sink = sink;
	state.userdata = userdata;
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

static bool stderr_has_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return str_is_empty(no_colour) && isatty(STDERR_FILENO);
}

static struct iovec iov_of(const char *s)
{
	return (struct iovec){.iov_base = (char *)s, .iov_len = strlen(s)};
}

static const char *prefix_of(const char *line)
{
	return *line == ' ' ? "" : PROGRAM_PREFIX; /* a hint is indented already */
}

static const char *colour_of(enum log_level level)
{
	static const char *const colours[] = {
		[LOG_LEVEL_ERROR] = "\033[0;1;31m",
		[LOG_LEVEL_WARNING] = "\033[0;1;33m",
		[LOG_LEVEL_INFO] = "",
	};

	return stderr_has_colour() ? colours[level] : "";
}

static void write_stderr(enum log_level level, const char *line)
{
	const char *colour = colour_of(level);
	/* One call, so that lines of several processes don't mix. */
	struct iovec parts[] = {
		iov_of(prefix_of(line)),	  iov_of(colour), iov_of(line),
		iov_of(*colour ? "\033[0m" : ""), iov_of("\n"),
	};

	(void)!writev(STDERR_FILENO, parts, ARRAY_SIZE(parts));
}

char *log_format_stderr(enum log_level level, const char *line)
{
	const char *colour = colour_of(level);

	return str_printf("%s%s%s%s\n", prefix_of(line), colour, line, *colour ? "\033[0m" : "");
}

static void emit(enum log_level level, const char *line)
{
	if (state.sink)
		state.sink(level, line, state.userdata);
	else
		write_stderr(level, line);
}

static bool is_plain(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* Escapes where that is needed, and then emits. */
static void emit_escaped(enum log_level level, char *line)
{
	autofree char *escaped = NULL;

	if (!is_plain(line)) {
		escaped = str_escape(line);
		/* Without memory, a crippled message is better than none and than a dangerous one.
		 */
		for (char *s = line; !escaped && *s; s++)
			if (*s < ' ' || *s > '~')
				*s = '?';
	}
	emit(level, escaped ? escaped : line);
}

/* `error` is a negative errno, or 0 for a message without one. */
static PRINTF_LIKE(4, 0) void log_line(enum log_level level, const char *prefix, int error,
				       const char *fmt, va_list args)
{
	char line[LINE_SIZE];
	autofree char *message = NULL;
	autofree char *longer = NULL;
	const char *text = error < 0 ? strerror(-error) : NULL;
	int saved = errno, n, head;
	va_list again;

	if (!*prefix)
		state.hides_hint = level > state.level;
	if (state.hides_hint)
		return;
	va_copy(again, args);
	head = snprintf(line, sizeof(line), "%s", prefix);
	n = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, args);
	if (n >= 0 && (size_t)(head + n) + (text ? strlen(text) + 2 : 0) < sizeof(line)) {
		if (text)
			(void)snprintf(line + head + n, sizeof(line) - (size_t)(head + n), ": %s",
				       text);
	} else {
		message = str_vprintf(fmt, again);
		longer = message ? str_printf("%s%s%s%s", prefix, message, text ? ": " : "",
					      text ? text : "")
				 : NULL;
	}
	va_end(again);
	emit_escaped(level, longer ? longer : line);
	errno = saved;
}

#define LOG_VA(level, prefix, error, fmt)                                                          \
	do {                                                                                       \
		va_list args_;                                                                     \
                                                                                                   \
		va_start(args_, fmt);                                                              \
		log_line(level, prefix, error, fmt, args_);                                        \
		va_end(args_);                                                                     \
	} while (0)

int log_errno(int error, const char *fmt, ...)
{
	if (error == 0)
		return 0;
	LOG_VA(LOG_LEVEL_ERROR, "", error, fmt);
	return error;
}

int log_error(int error, const char *fmt, ...)
{
	LOG_VA(LOG_LEVEL_ERROR, "", 0, fmt);
	return error;
}

int log_oom(void)
{
	return log_error(-ENOMEM, "out of memory");
}

void log_warning(const char *fmt, ...)
{
	LOG_VA(LOG_LEVEL_WARNING, "", 0, fmt);
}

void log_warning_errno(int error, const char *fmt, ...)
{
	LOG_VA(LOG_LEVEL_WARNING, "", error, fmt);
}

void log_info(const char *fmt, ...)
{
	LOG_VA(LOG_LEVEL_INFO, "", 0, fmt);
}

void log_hint(const char *fmt, ...)
{
	LOG_VA(LOG_LEVEL_ERROR, HINT_PREFIX, 0, fmt);
}
