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

static int clean_images(void)
{
	return image_clean_leftovers(UINT64_MAX);
}

static int clean_imports(void)
{
	autoclose int pool = open(IMAGE_POOL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (pool < 0)
		return errno == ENOENT ? 0 : -errno;
	return transfer_clean_leftovers(pool, UINT64_MAX);
}

static const struct cleaner {
	int (*clean)(void);
	const char *what;
	const char *one, *many;
} cleaners[] = {
	{machine_clean_dead, "what killed supervisors left in " MACHINE_RUN_DIR,
	 "what a killed machine left", "what killed machines left"},
	{clean_images, "what was left of images", "a leftover of an image", "leftovers of images"},
	{clean_imports, "what killed imports left in " IMAGE_POOL, "an unfinished import",
	 "unfinished imports"},
};

int verb_clean(const struct cli *cli, int argc, char *argv[])
{
	int result = 0, found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cleaners); i++) {
		int n = cleaners[i].clean();

		if (n < 0)
			result = log_errno(n, "remove %s", cleaners[i].what);
		if (n <= 0)
			continue;
		found += n;
		if (!cli->quiet)
			(void)printf("Removed %s: %d\n",
				     n == 1 ? cleaners[i].one : cleaners[i].many, n);
	}
	host_clean_leftovers();
	if (found == 0 && result == 0 && !cli->quiet)
		(void)printf("Nothing to remove.\n");
	return cli_exit_code(result);
}
