/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: `redd [OPTIONS] VERB …`. A verb is a row of verbs.def:
 *     VERB(name, function, min_args, max_args, "ARGUMENTS", "help line")
 * Options common to all verbs (--json, --no-legend, -q …) stand before or after the verb. Rows of
 * other kinds: VERB_COMMAND, whose first argument ends the options (what follows is a command for
 * the machine); VERB_RAW, which reads everything behind its name by itself; ALIAS; SECTION.
 * Exit codes: 0, 1 failed, 2 usage; of the payload for run, exec and shell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cli_json {
	CLI_JSON_OFF,
	CLI_JSON_SHORT,
	CLI_JSON_PRETTY,
};

#define CLI_EXIT_FAILURE 1
#define CLI_EXIT_USAGE 2

struct cli {
	enum cli_json json;
	bool legend;	    /* false: --no-legend */
	bool quiet;	    /* -q */
	bool force;	    /* --force */
	bool read_only;	    /* --read-only */
	uint64_t max_size;  /* --max-size, 0: not given, UINT64_MAX: infinity */
	bool all;	    /* -a */
	bool full;	    /* -l */
	bool value;	    /* --value */
	char **properties;  /* -p */
	char **environment; /* -E */
	const char *user;   /* --uid */
	const char *chdir;  /* --chdir */
	bool pass_stdio;    /* --pass-stdio */
	int signal;	    /* -s, 0: SIGTERM */
	const char *kill_whom;
	bool follow;	     /* -f */
	uint32_t lines;	     /* -n, UINT32_MAX: not given */
	uint64_t timeout_us; /* --timeout, UINT64_MAX: not given */
	const char *output;  /* -o: of logs short, iso, cat; of nix pack a file */
	char **contents;     /* --add */
	char **links;	     /* --symlink */
	const char *compress;

	const char *nix_store; /* --store */
	bool boot;	       /* --boot */
};

/* argv[0] is the verb. Returns the exit code. */
typedef int (*cli_verb_fn)(const struct cli *cli, int argc, char *argv[]);

/* The program: options, verb, exit code. */
int cli_main(int argc, char *argv[]);

/* 0 or a negative errno to an exit code: 0, CLI_EXIT_USAGE for -EINVAL, else CLI_EXIT_FAILURE. */
static inline int cli_exit_code(int r)
{
	return r >= 0 ? 0 : CLI_EXIT_FAILURE;
}
