// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads mountinfo. Must never touch the mounts it names. Caller's side of clone(). */
#include "image/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "lib/io.h"
#include "lib/str.h"

/* Hosts with 100,000 mounts exist; each line is some 150 bytes. */
#define MOUNTINFO_MAX (64 * 1024 * 1024)
/* "36 35 98:0 /root /mount/point …" */
#define MOUNT_POINT_FIELD 4

/* Blanks, newlines and backslashes are \ooo there. In place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static bool is_at_or_below(const char *path, const char *top)
{
	const char *rest = str_after_prefix(path, top);

	return rest && (*rest == '\0' || *rest == '/');
}

int mounts_find_below(const char *path, char **ret)
{
	autofree char *text = NULL;
	char *rest, *line;
	int r = io_read_file_at(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	if (r < 0)
		return r;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *point = NULL;

		for (int i = 0; i <= MOUNT_POINT_FIELD; i++)
			point = strsep(&line, " ");
		if (!point)
			continue;
		unescape(point);
		if (is_at_or_below(point, path))
			return (*ret = strdup(point)) ? 1 : -ENOMEM;
	}
	return 0;
}
