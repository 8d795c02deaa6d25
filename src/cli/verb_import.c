// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd import-tar. Caller's side. */
#include <stddef.h>

#include "cli/verbs.h"
#include "transfer/transfer.h"

int verb_import_tar(const struct cli *cli, int argc, char *argv[])
{
	struct import_request request = {
		.source = argv[1],
		.name = argc > 2 ? argv[2] : NULL,
		.force = cli->force,
		.read_only = cli->read_only,
		.quiet = cli->quiet,
		.max_bytes = cli->max_size,
		.output = cli->json == CLI_JSON_OFF ? TRANSFER_OUTPUT_TEXT : TRANSFER_OUTPUT_JSON,
	};

	return cli_exit_code(transfer_import_tar(&request));
}
