// SPDX-License-Identifier: LGPL-2.1-or-later
/* From the command line to a verb and its exit code. Caller's side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "lib/fd.h"
#include "lib/memory.h"
#include "lib/str.h"
#include "log/log.h"

struct invocation {
	struct cli cli;
	enum options_wish wish;
	const struct verb *verb;
	const char *group; /* "nix" was said, and no more */
	char **arguments;  /* the verb's name first, of two words the second */
	int count;
};

static void invocation_done(struct invocation *in)
{
	options_done(&in->cli);
	free(in->arguments);
}

static int exit_code(int r)
{
	return r == -EINVAL ? CLI_EXIT_USAGE : cli_exit_code(r);
}

/* What follows the verb's name: options between arguments, where its kind has them. */
static int collect(struct invocation *in, int argc, char *argv[], int index)
{
	bool options = in->verb->kind != VERB_KIND_RAW;

	while (index < argc) {
		int r = options ? options_take(&in->cli, argc, argv, &index, &in->wish) : 0;

		if (r < 0)
			return r;
		options &= r == 0;
		if (index < argc)
			in->arguments[in->count++] = argv[index++];
		options &= in->verb->kind != VERB_KIND_COMMAND;
	}
	return 0;
}

/* "nix" and what follows it. The two words may have options between them. */
static int find_in_group(struct invocation *in, const char *group, int argc, char *argv[],
			 int *index)
{
	autofree char *name = NULL;
	int r = options_take(&in->cli, argc, argv, index, &in->wish);

	if (r < 0)
		return r;
	if (*index >= argc && in->wish == OPTIONS_HELP) {
		in->group = group;
		return 0;
	}
	if (*index >= argc) {
		(void)log_error(-EINVAL, "%s: missing subcommand", group);
		log_hint("redd %s --help lists its subcommands", group);
		return -EINVAL;
	}
	name = str_printf("%s %s", group, argv[*index]);
	if (!name)
		return log_oom();
	in->verb = verb_find(name);
	if (!in->verb)
		(void)verb_say_unknown(name);
	return in->verb ? 0 : -EINVAL;
}

static int find_verb(struct invocation *in, int argc, char *argv[], int *index)
{
	const char *word = argv[*index];

	if (verb_is_group(word)) {
		++*index;
		return find_in_group(in, word, argc, argv, index);
	}
	in->verb = verb_find(word);
	if (!in->verb)
		(void)verb_say_unknown(word);
	return in->verb ? 0 : -EINVAL;
}

/* Usage errors have been told; with `verb` NULL there was none. */
static int parse(struct invocation *in, int argc, char *argv[])
{
	int index = 1, r;

	options_init(&in->cli);
	r = options_take(&in->cli, argc, argv, &index, &in->wish);
	if (r < 0 || index >= argc)
		return r;
	r = find_verb(in, argc, argv, &index);
	if (r < 0 || !in->verb)
		return r;
	in->arguments = calloc((size_t)(argc - index) + 1, sizeof(char *));
	if (!in->arguments)
		return log_oom();
	in->arguments[in->count++] = argv[index++];
	return collect(in, argc, argv, index);
}

static int run(struct invocation *in)
{
	if (in->cli.quiet)
		log_set_level(LOG_LEVEL_WARNING);
	if (in->wish == OPTIONS_VERSION) {
		(void)printf("redd %s\n", REDD_VERSION);
		return 0;
	}
	if (in->wish == OPTIONS_HELP && in->verb) {
		verb_print_help(in->verb);
		return 0;
	}
	if (in->group) {
		verb_print_group(in->group);
		return 0;
	}
	if (!in->verb) {
		verb_print_all();
		return 0;
	}
	if (in->verb->kind != VERB_KIND_RAW && verb_check_arguments(in->verb, in->count - 1) < 0)
		return CLI_EXIT_USAGE;
	return in->verb->fn(&in->cli, in->count, in->arguments);
}

int cli_main(int argc, char *argv[])
{
	autocall(invocation_done) struct invocation in = {};
	int r;

	memory_pad_thread_area();
	r = fd_reserve_stdio();
	if (r < 0)
		return exit_code(log_errno(r, "open /dev/null"));
	r = parse(&in, argc, argv);
	if (r < 0)
		return exit_code(r);
	r = run(&in);
	/* A full disk below `redd list > file` must not look like success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && r == 0)
		return exit_code(log_errno(errno > 0 ? -errno : -EIO, "write standard output"));
	return r;
}
