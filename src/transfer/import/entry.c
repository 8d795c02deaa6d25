/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleans the names in an archive. Must never let ".." through. Runs in the worker. */
#include "transfer/import/entry.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int entry_clean_name(const char *raw, char ret[static ENTRY_NAME_SIZE])
{
	size_t used = 0;

	while (*raw) {
		size_t n = strcspn(raw, "/");

		if (n == 2 && raw[0] == '.' && raw[1] == '.')
			return -EXDEV;
		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		if (n > 0 && !(n == 1 && raw[0] == '.')) {
			if (used + n + 2 > ENTRY_NAME_SIZE)
				return -ENAMETOOLONG;
			if (used > 0)
				ret[used++] = '/';
			memcpy(ret + used, raw, n);
			used += n;
		}
		raw += n;
		raw += strspn(raw, "/");
	}
	ret[used] = '\0';
	return 0;
}

bool entry_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 0)
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

size_t entry_parent_length(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? (size_t)(slash - name) : 0;
}
