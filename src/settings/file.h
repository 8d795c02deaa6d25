/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * .nspawn files: INI as systemd.syntax(7) has it, without drop-ins. What is wrong in a line is
 * warned of with "FILE:LINE: KEY: reason" and the line is skipped; it never stops the machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "settings/settings.h"

#define SETTINGS_FILE_MAX (1024 * 1024) /* bytes */
#define SETTINGS_LINE_MAX (64 * 1024)	/* bytes, with its continuations */
/* Then the rest is only counted: a hostile file can't flood the log. */
#define SETTINGS_WARNINGS_MAX 50

struct settings_text {
	const char *path; /* for messages */
	const char *data;
	size_t size;
	bool trusted;
	const char *trusted_dir; /* where a privileged setting belongs, for messages */
};

/* Adds what the text says. 0 or -ENOMEM, said. */
int settings_read_text(struct settings *settings, const struct settings_text *text);
