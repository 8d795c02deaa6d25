/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs on running machines share. Loud. */
#pragma once

#include "cli/cli.h"

struct machine_state;
struct json_object;

/* As root, removes what crashed supervisors left. */
void cli_clean_dead(void);
/* A live machine, or -ESRCH after a message that says what to do. */
int cli_find_machine(const char *name, struct machine_state *ret);
/* One call to the supervisor of a machine. 0 or -errno after a message. Takes `parameters`. */
int cli_call_supervisor(const char *machine, const char *method, struct json_object *parameters);
/* Calls fn for each name; goes on after a failure. The exit code. */
int cli_for_each(const struct cli *cli, int argc, char *argv[],
		 int (*fn)(const struct cli *cli, const char *name));
/*
 * Appends a machine's addresses: those it was given, else those that it has. With `all` both, first
 * those it was given. Quiet: what can't be found out is left out.
 */
void cli_find_addresses(const struct machine_state *machine, bool all, char ***ret);
