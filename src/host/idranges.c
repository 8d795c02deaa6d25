/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads from the host's files which ids are taken. Must never take a line that it doesn't
 * understand for a range; such a line is skipped. Supervisor's side.
 */
#include "host/idranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define FILE_MAX_BYTES (8 * 1024 * 1024)

/* Field `n` of a line as a number; false if it isn't one. Saturates. */
static bool read_field(const char *line, int n, int base, uint64_t *ret)
{
	char *end;

	for (; n > 0; n--) {
		line += strcspn(line, ":");
		if (*line++ != ':')
			return false;
	}
	line += strspn(line, " \t");
	if (*line < '0' || *line > '9')
		return false;
	*ret = strtoull(line, &end, base);
	end += strspn(end, " \t\r");
	return *end == ':' || *end == '\0';
}

static bool read_range(const char *line, enum idranges_kind kind, uint64_t *ret_first,
		       uint64_t *ret_count)
{
	*ret_count = 1;
	if (kind == IDRANGES_ACCOUNTS)
		return read_field(line, 2, 10, ret_first);
	/* shadow reads these as strtoul(3) does with base 0. */
	return read_field(line, 1, 0, ret_first) && read_field(line, 2, 0, ret_count);
}

/* Without sums, which could overflow: a file may contain any numbers. */
static bool overlap(uint64_t a, uint64_t a_count, uint64_t b, uint64_t b_count)
{
	return a <= b ? b - a < a_count && b_count > 0 : a - b < b_count && a_count > 0;
}

static int find_in_file(int etc, const char *name, enum idranges_kind kind, uint32_t first,
			uint64_t count, char **ret_who)
{
	autofree char *text = NULL;
	size_t text_size = 0;
	int r = io_read_file_at(etc, name, FILE_MAX_BYTES, &text, &text_size);
	char *rest = text, *line;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* A NUL byte: a crash has damaged the file, and the rest of it is unknown. */
	if (strlen(text) != text_size)
		return -EBADMSG;
	while ((line = strsep(&rest, "\n"))) {
		uint64_t theirs, size;

		if (!read_range(line, kind, &theirs, &size) || !overlap(theirs, size, first, count))
			continue;
		if (!ret_who)
			return 1;
		*ret_who = strndup(line, strcspn(line, ":"));
		return *ret_who ? 1 : -ENOMEM;
	}
	return 0;
}

int idranges_find(int etc, enum idranges_kind kind, uint32_t first, uint64_t count, char **ret_who)
{
	static const char *const files[][2] = {
		[IDRANGES_ACCOUNTS] = {"passwd", "group"},
		[IDRANGES_SUBORDINATES] = {"subuid", "subgid"},
	};
	int r = find_in_file(etc, files[kind][0], kind, first, count, ret_who);

	return r != 0 ? r : find_in_file(etc, files[kind][1], kind, first, count, ret_who);
}
