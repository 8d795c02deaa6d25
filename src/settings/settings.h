/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What people ask of a machine, as text with its origin: from the command line, from a .nspawn
 * file, from defaults. One table (settings.def) says what there is. Each value has been checked for
 * its form when it was read, so that the message can name its place; spec_resolve() gives it a
 * meaning. Loud, but for the accessors. Caller's side of clone() only.
 *
 *     struct settings settings = {};              autosettings
 *     first = settings_parse_command_line(&settings, argc, argv);
 *     settings_load(&settings, machine, directory);
 *     spec_resolve(&settings, &context, &spec);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/cleanup.h"

enum setting_id {
#define SETTING(id, ...) SETTING_##id,
#include "settings/settings.def"
	SETTING_COUNT,
};

enum setting_type {
#define TYPE(id, ...) SETTING_TYPE_##id,
#include "settings/types.def"
	SETTING_TYPE_COUNT,
};

/* Zero is the strict one: a row that says nothing is not taken from an untrusted file. */
enum setting_trust {
	SETTING_TRUST_TRUSTED,
	SETTING_TRUST_ANY,
};

enum setting_source {
	SETTING_FROM_DEFAULT, /* of `redd start` */
	SETTING_FROM_OPTION,
	SETTING_FROM_FILE,
};

struct setting_value {
	char *text;
	char *origin; /* "--bind", "FILE:LINE: Bind", "default of start": messages begin with it */
	enum setting_source source;
	size_t order; /* as given: mounts of several kinds keep their order */
};

struct setting_values {
	struct setting_value *items;
	size_t count;
};

/* All zero is empty. */
struct settings {
	struct setting_values rows[SETTING_COUNT];
	char *file; /* the .nspawn file that was read, or NULL */
	bool file_trusted;
	size_t added; /* the next value's order */
};

void settings_done(struct settings *settings);
#define autosettings autocall(settings_done)

/*
 * Reads `redd run`'s options: argv[0] is skipped. Stops at the first word that is no option or
 * behind "--"; the words from there on become the parameters. The index of the first of them,
 * -EINVAL (usage, said) or -ENOMEM. When --help or --version is met, it stops there: look for them
 * first.
 */
int settings_parse_command_line(struct settings *settings, int argc, char *argv[]);

/* What systemd-nspawn@.service asks for: boot, -U, --network-veth, --settings=override. */
int settings_for_start(struct settings *settings);

/*
 * Finds the machine's .nspawn file as --settings= says, reads it, and merges it: see merge.c.
 * `image` is the tree's host path (or NULL), beside which an untrusted file may lie. No file is no
 * error. 0 or -errno, said; what is wrong inside the file is only warned of.
 */
int settings_load(struct settings *settings, const char *machine, const char *image);

/* The places of trusted files, the first hit wins. NULL-terminated. */
extern const char *const settings_trusted_dirs[];
/* The same with other places, for tests. */
int settings_load_from(struct settings *settings, const char *const *trusted_dirs,
		       const char *machine, const char *image);

/* The value that counts, or NULL when nobody gave one. For lists: the last one. */
const struct setting_value *settings_get(const struct settings *settings, enum setting_id id);
const char *settings_text(const struct settings *settings, enum setting_id id);
bool settings_bool(const struct settings *settings, enum setting_id id, bool fallback);

/* For people and programs: the options of `run`, as `redd run --help` shows them. */
struct buf;
void settings_dump_help(struct buf *out);
