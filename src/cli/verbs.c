// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finding verbs and telling about them. Caller's side. */
#include "cli/verbs.h"

#include <errno.h>
#include <stdio.h>

#include "cli/options.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

static const struct verb verbs[] = {
#define VERB(name, ...) {VERB_KIND_PLAIN, name, __VA_ARGS__},
#define VERB_COMMAND(name, ...) {VERB_KIND_COMMAND, name, __VA_ARGS__},
#define VERB_RAW(name, function, ...) {VERB_KIND_RAW, name, function, 0, ARGS_ANY, __VA_ARGS__},
#define ALIAS(name) {VERB_KIND_ALIAS, name, NULL, 0, 0, NULL, NULL},
#define SECTION(title) {VERB_KIND_SECTION, NULL, NULL, 0, 0, NULL, title},
#include "cli/verbs.def"
};

const struct verb *verb_find(const char *name)
{
	const struct verb *last = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (verbs[i].fn)
			last = &verbs[i];
		if (verbs[i].name && streq(verbs[i].name, name))
			return last;
	}
	return NULL;
}

/* What follows "GROUP " in a verb's name, or NULL. */
static const char *word_in_group(const struct verb *verb, const char *group)
{
	const char *rest = verb->name ? str_after_prefix(verb->name, group) : NULL;

	return rest && *rest == ' ' ? rest + 1 : NULL;
}

bool verb_is_group(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (word_in_group(&verbs[i], word))
			return true;
	}
	return false;
}

int verb_say_unknown(const char *name)
{
	const char *names[ARRAY_SIZE(verbs) + 1] = {};
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (verbs[i].name)
			names[n++] = verbs[i].name;
	}
	(void)log_error(-EINVAL, "no such verb: '%s'", name);
	near = str_nearest(name, names);
	if (near)
		log_hint("did you mean '%s'?", near);
	else
		log_hint("redd --help lists them");
	return CLI_EXIT_USAGE;
}

static void print_row(const struct verb *verb)
{
	autofree char *left = str_printf("%s %s", verb->name, verb->arguments);
	size_t width = 0;

	/* Count characters, not bytes: an ellipsis is three bytes. */
	for (const char *p = left; p && *p; p++)
		width += ((unsigned char)*p & 0xc0) != 0x80;
	(void)printf("  %s%*s %s\n", left ? left : verb->name, width < 33 ? (int)(33 - width) : 0,
		     "", verb->help);
}

void verb_print_all(void)
{
	(void)printf("redd [OPTIONS…] VERB …\n\nBoot whole operating systems in containers.\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (verbs[i].kind == VERB_KIND_SECTION)
			(void)printf("\n%s:\n", verbs[i].help);
		else if (verbs[i].fn)
			print_row(&verbs[i]);
	}
	(void)printf("\nOptions:\n");
	options_print_help(NULL);
}

void verb_print_group(const char *group)
{
	(void)printf("redd %s VERB …\n\n", group);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (verbs[i].fn && word_in_group(&verbs[i], group))
			print_row(&verbs[i]);
	}
}

void verb_print_help(const struct verb *verb)
{
	(void)printf("redd %s [OPTIONS…]%s%s\n\n%s.\n\nOptions:\n", verb->name,
		     *verb->arguments ? " " : "", verb->arguments, verb->help);
	options_print_help(verb->name);
}

int verb_check_arguments(const struct verb *verb, int n)
{
	if (n >= verb->min_args && (verb->max_args == ARGS_ANY || n <= verb->max_args))
		return 0;
	(void)log_error(-EINVAL,
			n < verb->min_args ? "%s: too few arguments" : "%s: too many arguments",
			verb->name);
	log_hint("usage: redd %s%s%s", verb->name, *verb->arguments ? " " : "", verb->arguments);
	return -EINVAL;
}
