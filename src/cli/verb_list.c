// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd list. Must never show a byte of a guest's unescaped. Caller's side. */
#include <errno.h>
#include <stdio.h>

#include "cli/guest.h"
#include "cli/machines.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "image/os_release.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/registry.h"

static const struct table_column columns[] = {
	{"MACHINE", "machine", false}, {"CLASS", "class", false},
	{"SERVICE", "service", false}, {"OS", "os", false},
	{"VERSION", "version", false}, {"ADDRESSES", "addresses", false},
};

static void add_machine(struct table *t, const struct machine_state *machine)
{
	auto_os_release struct os_release os = {};
	autostrv char **addresses = NULL;

	/* One that just ends has neither; it is shown all the same. */
	(void)guest_read_os_release(machine, &os);
	cli_find_addresses(machine, false, &addresses);
	table_add_text(t, machine->name);
	table_add_text(t, "container");
	table_add_text(t, "redd");
	table_add_text(t, os_release_get(&os, "ID"));
	table_add_text(t, os_release_get(&os, "VERSION_ID"));
	table_add_list(t, addresses);
}

int verb_list(const struct cli *cli, int argc, char *argv[])
{
	autotable struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct machine_state *list;
	size_t count;
	int r;

	cli_clean_dead();
	r = machine_list(&list, &count);
	if (r < 0)
		return cli_exit_code(log_errno(r, "list the machines in %s", MACHINE_RUN_DIR));
	for (size_t i = 0; i < count; i++)
		add_machine(t, &list[i]);
	machine_list_free(list, count);
	r = table_print(t, stdout, cli, "machine", "machines");
	return r < 0 ? cli_exit_code(log_errno(r, "write standard output")) : 0;
}
