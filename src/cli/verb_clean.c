// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * redd clean: what each start does beside its own work. Must never touch what belongs to a machine
 * or an import that lives. Caller's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cli/verbs.h"
#include "host/host.h"
#include "image/image.h"
#include "image/remove.h"
#include "log/log.h"
#include "machine/registry.h"
#include "transfer/transfer.h"

/* Each counts what it removed, and returns 0 or, said already, what was in the way of the rest. */
static int clean_machines(int *ret_count)
{
	autocall(machine_leftovers_done) struct machine_leftovers left = {};
	int n = machine_clean_dead(MACHINE_CLEAN_PATIENTLY_US, &left), r = 0;

	if (n < 0)
		return log_errno(n, "remove what killed supervisors left in " MACHINE_RUN_DIR);
	for (char **name = left.names; name && *name; name++)
		r = log_errno(left.error, "remove what a killed supervisor of machine %s left",
			      *name);
	*ret_count = n;
	return r;
}

static int clean_images(int *ret_count)
{
	int n = image_clean_leftovers(UINT64_MAX);

	if (n < 0)
		return log_errno(n, "remove what was left of images");
	*ret_count = n;
	return 0;
}

static int clean_imports(int *ret_count)
{
	autoclose int pool = open(IMAGE_POOL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = pool < 0 ? (errno == ENOENT ? 0 : -errno)
			 : transfer_clean_leftovers(pool, UINT64_MAX);

	if (n < 0)
		return log_errno(n, "remove what killed imports left in " IMAGE_POOL);
	*ret_count = n;
	return 0;
}

static const struct cleaner {
	int (*clean)(int *ret_count);
	const char *one, *many;
} cleaners[] = {
	{clean_machines, "what a killed machine left", "what killed machines left"},
	{clean_images, "a leftover of an image", "leftovers of images"},
	{clean_imports, "an unfinished import", "unfinished imports"},
};

int verb_clean(const struct cli *cli, int argc, char *argv[])
{
	int result = 0, found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cleaners); i++) {
		int n = 0, r = cleaners[i].clean(&n);

		result = r < 0 ? r : result;
		found += n;
		if (n > 0 && !cli->quiet)
			(void)printf("Removed %s: %d\n",
				     n == 1 ? cleaners[i].one : cleaners[i].many, n);
	}
	host_clean_leftovers(USEC_INFINITY);
	if (found == 0 && result == 0 && !cli->quiet)
		(void)printf("Nothing to remove.\n");
	return cli_exit_code(result);
}
