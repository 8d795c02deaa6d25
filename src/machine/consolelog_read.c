// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads the console log. Must never return a guest's bytes unescaped to callers that print lines.
 * Host side of clone().
 */
#include "machine/consolelog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/machine_name.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "lib/time.h"
#include "machine/registry.h"

/* "2026-11-23T14:31:46.123456Z"; the kind follows. */
#define STAMP_LENGTH 27
#define FILE_MAX_BYTES (2 * CONSOLELOG_MAX_BYTES)
#define STARTED "=started"

/* `count` digits as a number, or -1. */
static int digits(const char *s, int count)
{
	int n = 0;

	for (int i = 0; i < count; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		n = n * 10 + (s[i] - '0');
	}
	return n;
}

int consolelog_parse(const char *line, struct consolelog_record *ret)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z";
	struct tm tm = {};

	for (int i = 0; i < STAMP_LENGTH; i++) {
		if (shape[i] == '0' ? digits(line + i, 1) < 0 : line[i] != shape[i])
			return -EBADMSG;
	}
	if (line[STAMP_LENGTH] == '\0' || !strchr(" +=", line[STAMP_LENGTH]))
		return -EBADMSG;
	tm.tm_year = digits(line, 4) - 1900;
	tm.tm_mon = digits(line + 5, 2) - 1;
	tm.tm_mday = digits(line + 8, 2);
	tm.tm_hour = digits(line + 11, 2);
	tm.tm_min = digits(line + 14, 2);
	tm.tm_sec = digits(line + 17, 2);
	ret->when_us = (uint64_t)timegm(&tm) * USEC_PER_SEC + (uint64_t)digits(line + 20, 6);
	ret->kind = line[STAMP_LENGTH];
	ret->text = line + STAMP_LENGTH + 1;
	return 0;
}

static int read_one(const char *name, const char *suffix, char **ret, size_t *ret_size)
{
	autofree char *path = str_printf(MACHINE_LOG_DIR "/%s.log%s", name, suffix);
	autoclose int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	return io_read_fd(fd, FILE_MAX_BYTES, ret, ret_size);
}

int consolelog_read(const char *name, char **ret, uint64_t *ret_end)
{
	autofree char *older = NULL, *text = NULL, *both = NULL;
	size_t size = 0;
	int r;

	if (!machine_name_is_valid(name))
		return -EINVAL;
	r = read_one(name, ".1", &older, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	r = read_one(name, "", &text, &size);
	if (r < 0 && (r != -ENOENT || !older))
		return r;
	both = str_printf("%s%s", older ? older : "", text ? text : "");
	if (!both)
		return -ENOMEM;
	*ret = take_ptr(both);
	*ret_end = size;
	return 0;
}

char *consolelog_last_boot(char *text)
{
	char *begin = text, *line = text;

	while (line && *line) {
		struct consolelog_record record;
		const char *after;

		if (consolelog_parse(line, &record) == 0 && record.kind == '=') {
			after = str_after_prefix(record.text - 1, STARTED);
			if (after && (*after == '\n' || *after == '\0' || *after == ' '))
				begin = line;
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return begin;
}

/* The beginning of the last `lines` lines. 0: all. */
static char *last_lines(char *text, unsigned lines)
{
	char *p = text + strlen(text);

	if (lines == 0)
		return text;
	if (p > text && p[-1] == '\n')
		p--;
	for (; p > text; p--) {
		if (p[-1] == '\n' && --lines == 0)
			return p;
	}
	return text;
}

/* The console's lines without times; pieces of a line are joined again. */
static int join_text(char *records, char **ret)
{
	autobuf struct buf b = {};
	char *line, *saved = NULL;

	for (line = strtok_r(records, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		autofree char *escaped = NULL;
		struct consolelog_record record;

		if (consolelog_parse(line, &record) < 0 || record.kind == '=')
			continue;
		escaped = str_plain(record.text);
		if (!escaped)
			return -ENOMEM;
		if (record.kind == ' ' && b.size > 0)
			buf_add_str(&b, "\n");
		buf_add_str(&b, escaped);
	}
	if (b.size > 0)
		buf_add_str(&b, "\n");
	return buf_take(&b, ret);
}

char *consolelog_tail(const char *name, unsigned lines)
{
	autofree char *text = NULL, *joined = NULL, *result = NULL;
	uint64_t end;

	if (consolelog_read(name, &text, &end) < 0)
		return NULL;
	if (join_text(consolelog_last_boot(text), &joined) < 0)
		return NULL;
	result = strdup(last_lines(joined, lines));
	return take_ptr(result);
}
