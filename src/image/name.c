// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names of machines and images: what is valid, and which name a path suggests. Must never look at
 * the file system. Caller's side of clone().
 */
#include "image/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

bool image_name_is_valid(const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size > IMAGE_NAME_MAX || name[0] == '.' || strchr(name, '/'))
		return false;
	for (const char *p = name; *p;) {
		uint32_t c;
		size_t n = utf8_decode(p, &c);

		if (n == 0 || is_control(c))
			return false;
		p += n;
	}
	return true;
}

/* Cuts what says how the file is packed, so that "web.tar.xz" suggests "web". */
static void cut_suffixes(char *name)
{
	static const char *const packed[] = {".gz", ".xz", ".zst", ".bz2", ".lzma"};
	static const char *const kinds[] = {".tar",  ".tgz", ".txz", ".tzst",
					    ".tbz2", ".raw", ".img"};

	for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
		if (str_has_suffix(name, packed[i])) {
			name[strlen(name) - strlen(packed[i])] = '\0';
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (str_has_suffix(name, kinds[i])) {
			name[strlen(name) - strlen(kinds[i])] = '\0';
			break;
		}
	}
}

/* Writes the valid part of `name` over itself; never longer than what it reads. */
static void make_label_list(char *name)
{
	size_t n = 0;

	for (const char *p = name; *p && n < MACHINE_NAME_MAX; p++) {
		char c = *p == '.' || machine_name_has_byte(*p) ? *p : '-';
		bool at_start = n == 0 || name[n - 1] == '.';

		if (at_start && (c == '.' || c == '-'))
			continue;
		while (c == '.' && n > 0 && name[n - 1] == '-')
			n--;
		/* All dashes before the dot are gone: a dot may now be doubled, or lead. */
		if (c == '.' && (n == 0 || name[n - 1] == '.'))
			continue;
		name[n++] = c;
	}
	while (n > 0 && (name[n - 1] == '.' || name[n - 1] == '-'))
		n--;
	name[n] = '\0';
}

int machine_name_from_path(const char *path, char **ret)
{
	autofree char *simple = path_simplify(path);
	autofree char *name = NULL;

	if (!simple)
		return -ENOMEM;
	name = strdup(path_last(simple));
	if (!name)
		return -ENOMEM;
	cut_suffixes(name);
	make_label_list(name);
	if (!machine_name_is_valid(name))
		return -EINVAL;
	*ret = take_ptr(name);
	return 0;
}
