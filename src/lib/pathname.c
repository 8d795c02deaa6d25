/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths as text: tests and tidying. Must never look at a file system, but for the working
 * directory in path_make_absolute(). Parent side of clone() only.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/path.h"
#include "lib/str.h"

bool path_is_absolute(const char *path)
{
	return *path == '/';
}

static bool is_dots(const char *component, size_t length)
{
	return (length == 1 && component[0] == '.') ||
	       (length == 2 && component[0] == '.' && component[1] == '.');
}

bool path_is_normalized(const char *path)
{
	if (!path_is_absolute(path) || strlen(path) >= PATH_MAX)
		return false;
	if (streq(path, "/"))
		return true;
	while (*path) {
		size_t length = strcspn(++path, "/");

		if (length == 0 || is_dots(path, length))
			return false;
		path += length;
	}
	return true;
}

char *path_simplify(const char *path)
{
	char *simple = malloc(strlen(path) + 2), *end = simple;
	bool empty = !*path;

	if (!simple)
		return NULL;
	if (path_is_absolute(path))
		*end++ = '/';
	for (;;) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (length == 0)
			break;
		if (length != 1 || *path != '.') {
			if (end > simple && end[-1] != '/')
				*end++ = '/';
			memcpy(end, path, length);
			end += length;
		}
		path += length;
	}
	if (end == simple && !empty)
		*end++ = '.';
	*end = '\0';
	return simple;
}

int path_make_absolute(const char *path, char **ret)
{
	autofree char *directory = NULL, *joined = NULL;
	char *simple;

	if (!*path)
		return -EINVAL;
	if (!path_is_absolute(path)) {
		directory = getcwd(NULL, 0);
		if (!directory)
			return -errno;
		/* Linux says "(unreachable)/…" for a directory outside our root. */
		if (!path_is_absolute(directory))
			return -ENOENT;
		joined = str_printf("%s/%s", directory, path);
		if (!joined)
			return -ENOMEM;
	}
	simple = path_simplify(joined ? joined : path);
	if (!simple)
		return -ENOMEM;
	*ret = simple;
	return 0;
}

const char *path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool path_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > NAME_MAX || is_dots(name, length))
		return false;
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == 0x7f || *name == '/')
			return false;
	return true;
}
