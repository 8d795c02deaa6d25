/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options common to all verbs, from one table. Loud. */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"

void options_init(struct cli *cli);
void options_done(struct cli *cli);

enum options_wish {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

/*
 * Takes options from argv[*index] on. Plain: up to the next argument that is none, at which *index
 * then stands. 1: "--" was met, all that follows are arguments. 0, or -EINVAL after a message.
 */
int options_take(struct cli *cli, int argc, char *argv[], int *index, enum options_wish *wish);

/* Of one verb, or of all with NULL. */
void options_print_help(const char *verb);
