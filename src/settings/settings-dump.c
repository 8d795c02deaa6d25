/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program of the build, not installed: prints the table of settings in the form it is asked for.
 *     settings-dump help|json|completion
 *     settings-dump man-options|man-keys PROSE-FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "settings/dump.h"
#include "settings/settings.h"

#define PROSE_MAX (1024 * 1024)

static int dump_man(struct buf *out, const char *form, const char *path)
{
	autofree char *prose = NULL;
	const char *missing = NULL;
	int r = io_read_file_at(AT_FDCWD, path, PROSE_MAX, &prose, NULL);

	if (r < 0) {
		fprintf(stderr, "settings-dump: read %s: %s\n", path, strerror(-r));
		return r;
	}
	r = streq(form, "man-options") ? settings_dump_man_options(out, prose, &missing)
				       : settings_dump_man_keys(out, prose, &missing);
	if (r == -ENOENT)
		fprintf(stderr, "settings-dump: %s has no text for @%s\n", path, missing);
	return r;
}

static int dump(struct buf *out, int argc, char *argv[])
{
	static const struct {
		const char *form;
		void (*dump)(struct buf *out);
	} forms[] = {
		{"help", settings_dump_help},
		{"json", settings_dump_json},
		{"completion", settings_dump_completion},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (argc == 2 && streq(argv[1], forms[i].form)) {
			forms[i].dump(out);
			return 0;
		}
	if (argc == 3 && (streq(argv[1], "man-options") || streq(argv[1], "man-keys")))
		return dump_man(out, argv[1], argv[2]);
	fputs("usage: settings-dump help|json|completion | man-options|man-keys PROSE\n", stderr);
	return -EINVAL;
}

int main(int argc, char *argv[])
{
	autobuf struct buf out = {};

	if (dump(&out, argc, argv) < 0 || out.error < 0)
		return EXIT_FAILURE;
	return fputs(out.data, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
