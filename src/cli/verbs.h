/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of verbs: rows of verbs.def, and what is declared from them. */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"

#define ARGS_ANY (-1)

enum verb_kind {
	VERB_KIND_PLAIN,   /* options may stand anywhere */
	VERB_KIND_COMMAND, /* the first argument ends the options */
	VERB_KIND_RAW,	   /* the verb reads everything behind its name */
	VERB_KIND_ALIAS,   /* another name of the verb above it */
	VERB_KIND_SECTION, /* a heading of the help */
};

struct verb {
	enum verb_kind kind;
	const char *name;
	cli_verb_fn fn;
	int min_args, max_args;
	const char *arguments;
	const char *help;
};

/*
 * NULL: no such verb. An alias gives the verb that it stands for. A verb of two words ("nix diff")
 * has both in its name, with one blank between them.
 */
const struct verb *verb_find(const char *name);
/* Whether `word` is the first of verbs of two words. */
bool verb_is_group(const char *word);
/* A message and, where one is near, what may have been meant. Returns the exit code. */
int verb_say_unknown(const char *name);
void verb_print_help(const struct verb *verb);
void verb_print_all(void);
/* The verbs of one group. */
void verb_print_group(const char *group);
/* Checks the number of arguments; says what is wrong. 0 or -EINVAL. */
int verb_check_arguments(const struct verb *verb, int n);

#define VERB(name, function, ...) int function(const struct cli *cli, int argc, char *argv[]);
#define VERB_COMMAND(name, function, ...) VERB(name, function, )
#define VERB_RAW(name, function, ...) VERB(name, function, )
#define ALIAS(name)
#define SECTION(title)
#include "cli/verbs.def"
#undef VERB
#undef VERB_COMMAND
#undef VERB_RAW
#undef ALIAS
#undef SECTION
