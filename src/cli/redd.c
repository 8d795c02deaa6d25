// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program `redd`. */
#include "cli/cli.h"

int main(int argc, char *argv[])
{
	return cli_main(argc, argv);
}
