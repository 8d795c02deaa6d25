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
/*
 * The same for what is done later than it is looked up: the machine's directory (machine_open()),
 * which stays that of this machine, whoever gets its name.
 */
int cli_open_machine(const char *name, struct machine_state *ret);
/* The same for verbs that end a machine, which don't suggest to start it first. */
int cli_open_machine_to_end(const char *name, struct machine_state *ret);
/*
 * One call to the supervisor of a machine that was opened. 0, -ESRCH without a word when the
 * machine has ended meanwhile, or another -errno after a message. Takes `parameters`.
 */
int cli_call_supervisor(int machine_dir, const char *machine, const char *method,
			struct json_object *parameters);
/* The machine has ended since it was looked up. Returns -ESRCH after a message. */
int cli_say_ended(const char *machine);
/* Calls fn for each name; goes on after a failure. The exit code. */
int cli_for_each(const struct cli *cli, int argc, char *argv[],
		 int (*fn)(const struct cli *cli, const char *name));
/*
 * Appends a machine's addresses: those it was given, else those that it has. With `all` both, first
 * those it was given. Quiet: what can't be found out is left out.
 */
void cli_find_addresses(const struct machine_state *machine, bool all, char ***ret);
