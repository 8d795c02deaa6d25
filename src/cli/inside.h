/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running a program in a machine on behalf of a person: with a pty on a terminal, else without. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct enter_request;
struct machine_state;

/*
 * A root without a user namespace could write to the program of a process that enters: makes this
 * program safe from that, by executing it again if need be (X01). Before anything is printed.
 */
int inside_protect(const struct machine_state *machine);
/* As machine_enter(), with the machine's own system call filter. */
int inside_enter(const struct machine_state *machine, struct enter_request *request,
		 pid_t *ret_pid);
/*
 * Runs and waits. Fills stdio and new_session. `pass_stdio`: without a terminal the program gets
 * the caller's own descriptors, as a person has asked for, else pipes. The program's exit code, 128
 * + N for signal N, or -errno after a message.
 */
int inside_run(const struct machine_state *machine, struct enter_request *request, bool pass_stdio);
/* Runs without any input or output: its exit code, or -errno. */
int inside_run_quietly(const struct machine_state *machine, struct enter_request *request);
/* Exit code of what could not be run: 127 not found, 126 not executable, else 1. */
int inside_exit_code(int r);
