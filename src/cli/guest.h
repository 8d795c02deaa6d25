/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a running machine's own files say of it, and its processes. Quiet. */
#pragma once

#include <stdio.h>

struct json_object;
struct machine_state;
struct os_release;

int guest_read_os_release(const struct machine_state *machine, struct os_release *ret);
/* "systemd" of PID 1; escaped by who prints it. A new string or NULL. */
char *guest_leader_name(const struct machine_state *machine);
/* The tree of cgroups and processes, as machinectl status draws it, indented by 18 columns. */
void guest_print_processes(FILE *out, const struct machine_state *machine);
