// SPDX-License-Identifier: LGPL-2.1-or-later
/* Remembers where a machine's system comes from. Caller's side of clone(). */
#include "nix/machine/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "host/store.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/path.h"
#include "lib/str.h"

#define SOURCE_FILE STORE_STATE_DIR "/%s/source"

/* ".", "./x", ".#x" and "result" are relative to the working directory; "nixpkgs#x" is not. */
static char *make_absolute(const char *text)
{
	size_t length = strcspn(text, "#");
	autofree char *path = strndup(text, length);
	autofree char *absolute = NULL;

	if (path && (*path == '.' || access(path, F_OK) == 0) &&
	    path_make_absolute(*path ? path : ".", &absolute) >= 0)
		return str_printf("%s%s", absolute, text + length);
	return strdup(text);
}

int nix_source_remember(const char *machine, const char *text)
{
	autofree char *absolute = make_absolute(text);
	autofree char *line = absolute ? str_printf("%s\n", absolute) : NULL;
	autofree char *folder = str_printf(STORE_STATE_DIR "/%s", machine);
	autofree char *path = str_printf(SOURCE_FILE, machine);
	int r;

	if (!line || !path || !folder)
		return -ENOMEM;
	r = fs_make_dirs(folder, 0755);
	return r < 0 ? r : io_replace_file_at(AT_FDCWD, path, line, 0644, true);
}

char *nix_source_recall(const char *machine)
{
	autofree char *path = str_printf(SOURCE_FILE, machine);
	char *text = NULL;

	if (!path || io_read_file_at(AT_FDCWD, path, PATH_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

void nix_source_forget(const char *machine)
{
	autoclose int dir = open(STORE_STATE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return;
	(void)fs_remove_tree_at(dir, machine);
	/* Of the last machine. */
	(void)rmdir(STORE_STATE_DIR);
}
