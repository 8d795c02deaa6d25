/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run and start: from words to settings, from settings to a spec, and on to the supervisor.
 * Caller's side.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/machines.h"
#include "cli/verbs.h"
#include "image/image.h"
#include "image/name.h"
#include "image/remove.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/selfexe.h"
#include "settings/settings.h"
#include "spec/spec.h"
#include "supervise/supervise.h"

static int usage_or_failure(int r)
{
	return r == -EINVAL ? CLI_EXIT_USAGE : cli_exit_code(r);
}

static int print_help(void)
{
	autobuf struct buf help = {};

	settings_dump_help(&help);
	if (help.error < 0)
		return cli_exit_code(log_oom());
	(void)fputs(help.data, stdout);
	return 0;
}

/* -D PATH, else the image of -M NAME, else the working directory. */
static int find_image(const struct settings *settings, struct image **ret)
{
	const char *directory = settings_text(settings, SETTING_DIRECTORY);
	const char *machine = settings_text(settings, SETTING_MACHINE);
	struct stat st;
	int r;

	if (!directory && machine)
		return image_require(machine, ret);
	if (!directory)
		directory = ".";
	r = image_from_path(directory, ret);
	/* What is there, but is no tree, is not "missing". */
	if (r == -ENOENT && stat(directory, &st) == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	return r < 0 ? log_errno(r, "open the tree %s", directory) : 0;
}

static int check_kind(const struct image *image)
{
	if (image->kind != IMAGE_RAW)
		return 0;
	return log_error(-EOPNOTSUPP,
			 "%s is a disk image: this version of redd starts directory trees "
			 "only",
			 image->path);
}

/* /proc/PID/exe of a process inside must not lead to this program for writing (X01). */
static int protect_self(const struct spec *spec)
{
	/* The root of a picked range is never the host's, who owns our program. */
	int r = spec->users == SPEC_USERS_PICK ? 0 : selfexe_protect();

	return r < 0 ? log_errno(r, "protect redd's own program file; needs Linux 5.12 and /proc")
		     : 0;
}

static int check_root(void)
{
	if (geteuid() == 0)
		return 0;
	return log_error(-EPERM, "starting machines needs root: run it again with sudo or doas");
}

static int read_settings(struct settings *settings, const struct image *image,
			 const struct spec_context *context, struct spec *spec)
{
	int r = context->machine ? settings_load(settings, context->machine, image->path) : 0;

	if (r == -ENOSYS)
		log_hint(SUPERVISE_OLD_KERNEL);
	return r < 0 ? r : spec_resolve(settings, context, spec);
}

static int run_machine(struct settings *settings)
{
	autoimage struct image *image = NULL;
	autospec struct spec spec = {};
	autofree char *name = NULL;
	struct spec_context context = {
		.stdio_is_tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
		.machine = settings_text(settings, SETTING_MACHINE),
	};
	int r = find_image(settings, &image);

	if (r >= 0)
		r = check_kind(image);
	if (r < 0)
		return cli_exit_code(r);
	if (!context.machine && machine_name_from_path(image->path, &name) == 0)
		context.machine = name;
	context.directory = image->path;
	r = read_settings(settings, image, &context, &spec);
	if (r < 0)
		return usage_or_failure(r);
	if (settings_bool(settings, SETTING_EXPLAIN, false))
		return cli_exit_code(supervise_explain(&spec, image));
	r = check_root();
	cli_clean_dead();
	if (r >= 0)
		r = protect_self(&spec);
	if (r >= 0)
		r = supervise_run(&spec, image);
	return r < 0 ? CLI_EXIT_FAILURE : r;
}

int verb_run(const struct cli *cli, int argc, char *argv[])
{
	autosettings struct settings settings = {};
	int r = settings_parse_command_line(&settings, argc, argv);

	if (r < 0)
		return usage_or_failure(r);
	if (settings_get(&settings, SETTING_HELP))
		return print_help();
	if (settings_get(&settings, SETTING_VERSION)) {
		(void)printf("redd %s\n", REDD_VERSION);
		return 0;
	}
	if (settings_bool(&settings, SETTING_QUIET, false))
		log_set_level(LOG_LEVEL_WARNING);
	return run_machine(&settings);
}

static int start_machine(const struct cli *cli, const char *name)
{
	autosettings struct settings settings = {};
	autoimage struct image *image = NULL;
	autospec struct spec spec = {};
	struct spec_context context = {.managed = true, .machine = name};
	int r = image_require(name, &image);

	if (r >= 0)
		r = check_kind(image);
	if (r < 0)
		return r;
	context.directory = image->path;
	r = settings_for_start(&settings);
	if (r >= 0)
		r = read_settings(&settings, image, &context, &spec);
	if (r >= 0)
		r = protect_self(&spec);
	if (r < 0)
		return r;
	if (cli->timeout_us != UINT64_MAX)
		spec.ready_timeout_us = cli->timeout_us;
	return supervise_start(&spec, image);
}

int verb_start(const struct cli *cli, int argc, char *argv[])
{
	int worst = check_root();

	cli_clean_dead();
	for (int i = 1; i < argc && (worst >= 0 || i > 1); i++) {
		int r = start_machine(cli, argv[i]);

		if (r < 0)
			worst = r;
	}
	/* When the machines run: what a killed removal left may take a while. */
	if (worst >= 0)
		(void)image_clean_leftovers(IMAGE_CLEAN_SHORT_US);
	return cli_exit_code(worst);
}
