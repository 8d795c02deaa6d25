// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A command line for src/nix, for tests/system: steps that no verb does alone, or that have to be
 *killed at a certain system call.
 *
 *	nix_tool find TEXT | closure PATH | set NAME PATH | booted NAME PATH | forget NAME
 */
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "nix/nix.h"

static int print_closure(const char *path)
{
	autoclosure struct nix_closure closure = {};
	int r = nix_closure_read(path, &closure);

	for (size_t i = 0; r >= 0 && i < closure.count; i++)
		(void)printf("%s\n", closure.names[i]);
	return r;
}

static int print_system(const char *text)
{
	autofree char *path = NULL;
	int r = nix_system_find(text, &path);

	if (r >= 0)
		(void)printf("%s\n", path);
	return r;
}

static int set_profile(const char *name, const char *path)
{
	unsigned number = 0;
	int r = nix_profile_set(name, path, &number);

	if (r >= 0)
		(void)printf("%u\n", number);
	return r;
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";
	int r = -1;

	if (argc == 3 && strcmp(what, "find") == 0)
		r = print_system(argv[2]);
	else if (argc == 3 && strcmp(what, "closure") == 0)
		r = print_closure(argv[2]);
	else if (argc == 3 && strcmp(what, "forget") == 0)
		r = nix_forget(argv[2]);
	else if (argc == 4 && strcmp(what, "set") == 0)
		r = set_profile(argv[2], argv[3]);
	else if (argc == 4 && strcmp(what, "booted") == 0)
		r = nix_root_booted(argv[2], argv[3]);
	return r < 0;
}
