// SPDX-License-Identifier: LGPL-2.1-or-later
/* nix pack and nix copy-to: a system for elsewhere. Caller's side of clone(). */
#include <errno.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/copy.h"
#include "nix/nix.h"
#include "nix/pack.h"

/* --compress, else the file's name; a pipe has no name: xz, as nixpkgs makes it. */
static int choose_format(const struct cli *cli, struct pack_request *pack)
{
	int r = 0;

	pack->level = ENCODE_LEVEL_DEFAULT;
	pack->format = ENCODE_XZ;
	if (cli->compress)
		r = encode_parse(cli->compress, &pack->format, &pack->level);
	else if (!streq(cli->output, "-"))
		r = encode_format_from_name(cli->output, &pack->format);
	if (r == 0)
		return 0;
	if (r == -ERANGE)
		(void)log_error(-EINVAL, "--compress=%s: there is no such level", cli->compress);
	else if (cli->compress)
		(void)log_error(-EINVAL, "--compress=%s: there is no such compression",
				cli->compress);
	else
		(void)log_error(-EINVAL, "cannot tell the compression from the name '%s'",
				cli->output);
	log_hint("--compress=xz, zstd, gzip or none, each with a level as in xz:9; or a name that "
		 "ends in .tar.xz, .tar.zst, .tar.gz or .tar");
	return -EINVAL;
}

static int check_output(const struct cli *cli)
{
	if (!cli->output) {
		(void)log_error(-EINVAL, "nix pack: missing output");
		log_hint("-o FILE, or -o - for the standard output");
		return -EINVAL;
	}
	if (streq(cli->output, "-") && cli->json != CLI_JSON_OFF)
		return log_error(-EINVAL,
				 "nix pack: --json and -o - both write to standard output");
	return 0;
}

int verb_nix_pack(const struct cli *cli, int argc, char *argv[])
{
	autofree char *store_path = NULL;
	struct nix_pack_request request = {
		.contents = cli->contents,
		.links = cli->links,
		.pack = {.output = cli->output,
			 .quiet = cli->quiet,
			 .style = cli->json == CLI_JSON_OFF ? TRANSFER_OUTPUT_TEXT
							    : TRANSFER_OUTPUT_JSON},
	};
	int r;

	if (check_output(cli) < 0 || choose_format(cli, &request.pack) < 0)
		return CLI_EXIT_USAGE;
	r = nix_system_find(argv[1], &store_path);
	if (r < 0)
		return cli_exit_code(r);
	request.store_path = store_path;
	return cli_exit_code(nix_pack(&request));
}

int verb_nix_copy_to(const struct cli *cli, int argc, char *argv[])
{
	return cli_exit_code(nix_copy_to(argv[1], argv[2], cli->quiet));
}
