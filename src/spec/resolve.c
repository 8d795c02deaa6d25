/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From settings (text with its origin) to a spec: who the machine is, what it runs, on what. The
 * rules of "A needs B" are those of systemd-nspawn(1). Must never look at the image. Caller's side
 * of clone().
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/value.h"
#include "spec/resolve.h"

/* "-" and 16 hexadecimal digits. */
#define EPHEMERAL_SUFFIX_SIZE 17

static int copy_text(char **dst, const char *text)
{
	return str_replace(dst, text) < 0 ? log_oom() : 0;
}

/* Several runs of one throw-away image need several names. Where the person gave one, it stays. */
static int add_ephemeral_suffix(char **name)
{
	size_t length = MIN(strlen(*name), (size_t)MACHINE_NAME_MAX - EPHEMERAL_SUFFIX_SIZE);
	uint64_t random;
	char *suffixed;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return log_errno(-errno, "draw a random name for the throw-away machine %s", *name);
	/* No label may end in a dash. */
	while (length > 0 && strchr("-.", (*name)[length - 1]))
		length--;
	suffixed = str_printf("%.*s-%016" PRIx64, (int)length, *name, random);
	if (!suffixed)
		return log_oom();
	free(*name);
	*name = suffixed;
	return 0;
}

static int resolve_machine(struct resolution *resolution)
{
	const char *given = settings_text(resolution->settings, SETTING_MACHINE);
	const char *name = given ? given : resolution->context->machine;
	int r;

	if (!name) {
		log_error(-EINVAL, "the machine has no name: none can be made of the image's path");
		log_hint("give one with --machine=NAME");
		return -EINVAL;
	}
	if (!machine_name_is_valid(name))
		return log_error(-EINVAL, "\"%s\" is not a valid machine name: " MACHINE_NAME_FORM,
				 name);
	r = copy_text(&resolution->spec->machine, name);
	if (r < 0 || given || resolution->context->managed ||
	    !settings_bool(resolution->settings, SETTING_EPHEMERAL, false))
		return r;
	return add_ephemeral_suffix(&resolution->spec->machine);
}

int spec_resolve_identity(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	const char *uuid = settings_text(settings, SETTING_UUID);
	int r = resolve_machine(resolution);

	if (r >= 0)
		r = copy_text(&resolution->spec->hostname,
			      settings_text(settings, SETTING_HOSTNAME));
	if (r >= 0 && uuid)
		resolution->spec->uuid_set = parse_id128(uuid, resolution->spec->uuid) == 0;
	return r;
}

static int resolve_directory(struct resolution *resolution)
{
	const struct setting_value *given = settings_get(resolution->settings, SETTING_DIRECTORY);
	const char *path = given ? given->text : resolution->context->directory;
	int r;

	if (!path && settings_get(resolution->settings, SETTING_MACHINE))
		return log_error(-EINVAL,
				 "there is no image for machine %s; give its tree with "
				 "--directory=PATH",
				 resolution->spec->machine);
	/* As systemd-nspawn does: where nothing is named, the working directory is the tree. */
	r = path_make_absolute(path ? path : ".", &resolution->spec->directory);
	if (r == -ENOMEM)
		return log_oom();
	if (r < 0)
		return log_errno(r, "find the tree %s", path ? path : "in the working directory");
	return 0;
}

int spec_resolve_tree(struct resolution *resolution)
{
	struct spec *spec = resolution->spec;
	int r = resolve_directory(resolution);

	if (r < 0)
		return r;
	spec->read_only = settings_bool(resolution->settings, SETTING_READ_ONLY, false);
	spec->ephemeral = settings_bool(resolution->settings, SETTING_EPHEMERAL, false);
	if (streq(spec->directory, "/") && !spec->ephemeral) {
		log_error(-EINVAL, "the host's own tree / can't be a machine as it is");
		log_hint("--ephemeral runs a throw-away copy of it");
		return -EINVAL;
	}
	return 0;
}

static int resolve_parameters(struct resolution *resolution)
{
	const struct setting_values *values = &resolution->settings->rows[SETTING_PARAMETERS];

	for (size_t i = 0; i < values->count; i++)
		if (strv_add(&resolution->spec->parameters, values->items[i].text) < 0)
			return log_oom();
	return 0;
}

static int resolve_process(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	const char *text;
	int r = copy_text(&resolution->spec->user, settings_text(settings, SETTING_USER));

	if (r < 0)
		return r;
	text = settings_text(settings, SETTING_CHDIR);
	if (text) {
		resolution->spec->chdir = path_simplify(text);
		if (!resolution->spec->chdir)
			return log_oom();
	}
	text = settings_text(settings, SETTING_KILL_SIGNAL);
	if (text)
		(void)parse_signal(text, &resolution->spec->kill_signal);
	if (settings_get(settings, SETTING_NOTIFY_READY))
		resolution->spec->notify_ready =
			settings_bool(settings, SETTING_NOTIFY_READY, true);
	return 0;
}

static void resolve_timeouts(struct resolution *resolution)
{
	const char *stop = settings_text(resolution->settings, SETTING_STOP_TIMEOUT);
	const char *ready = settings_text(resolution->settings, SETTING_READY_TIMEOUT);

	if (stop)
		(void)parse_duration_us(stop, &resolution->spec->stop_timeout_us);
	if (ready)
		(void)parse_duration_us(ready, &resolution->spec->ready_timeout_us);
	/* A start that may take no time at all could only fail. */
	if (resolution->spec->ready_timeout_us == 0)
		resolution->spec->ready_timeout_us = UINT64_MAX;
}

int spec_resolve_start(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	bool boot = settings_bool(settings, SETTING_BOOT, false);
	bool pid2 = settings_bool(settings, SETTING_AS_PID2, false);
	int r;

	if (boot && pid2)
		return log_error(-EINVAL,
				 "%s and %s cannot be combined: an init runs as PID 1 itself",
				 settings_get(settings, SETTING_BOOT)->origin,
				 settings_get(settings, SETTING_AS_PID2)->origin);
	resolution->spec->start = boot	 ? SPEC_START_BOOT
				  : pid2 ? SPEC_START_PID2
					 : SPEC_START_COMMAND;
	resolve_timeouts(resolution);
	r = resolve_parameters(resolution);
	return r < 0 ? r : resolve_process(resolution);
}

/* The last of several values of one variable counts; its place is that of the first. */
static int set_variable(char ***environment, const char *assignment)
{
	size_t length = strcspn(assignment, "=") + 1;
	char *copy;

	for (char **v = *environment; v && *v; v++) {
		if (strncmp(*v, assignment, length) != 0)
			continue;
		copy = strdup(assignment);
		if (!copy)
			return -ENOMEM;
		free(*v);
		*v = copy;
		return 0;
	}
	return strv_add(environment, assignment);
}

static bool is_variable(const char *parameter)
{
	const char *equals = strchr(parameter, '=');

	return equals && value_variable_name_is_valid(parameter, (size_t)(equals - parameter));
}

/*
 * What a kernel does with its command line: NAME=VALUE without a dot in the name goes to init's
 * environment, all else is an argument. systemd-nspawn does so from 261 on.
 */
static int split_boot_parameters(struct spec *spec)
{
	autostrv char **arguments = NULL;

	for (char **parameter = spec->parameters; parameter && *parameter; parameter++) {
		int r = is_variable(*parameter) ? set_variable(&spec->environment, *parameter)
						: strv_add(&arguments, *parameter);

		if (r < 0)
			return log_oom();
	}
	(void)strv_free(spec->parameters);
	spec->parameters = take_ptr(arguments);
	return 0;
}

int spec_resolve_environment(struct resolution *resolution)
{
	const struct setting_values *values = &resolution->settings->rows[SETTING_ENVIRONMENT];

	for (size_t i = 0; i < values->count; i++)
		if (set_variable(&resolution->spec->environment, values->items[i].text) < 0)
			return log_oom();
	if (resolution->spec->start != SPEC_START_BOOT)
		return 0;
	return split_boot_parameters(resolution->spec);
}

int spec_resolve_console(struct resolution *resolution)
{
	static const enum spec_console consoles[] = {
		[VALUE_CONSOLE_INTERACTIVE] = SPEC_CONSOLE_INTERACTIVE,
		[VALUE_CONSOLE_READ_ONLY] = SPEC_CONSOLE_READ_ONLY,
		[VALUE_CONSOLE_PASSIVE] = SPEC_CONSOLE_PASSIVE,
		[VALUE_CONSOLE_PIPE] = SPEC_CONSOLE_PIPE,
	};
	const char *text = settings_text(resolution->settings, SETTING_CONSOLE);
	bool tty = resolution->context->stdio_is_tty;
	enum value_console console = tty ? VALUE_CONSOLE_INTERACTIVE : VALUE_CONSOLE_READ_ONLY;

	resolution->spec->quiet = settings_bool(resolution->settings, SETTING_QUIET, false);
	if (resolution->context->managed)
		console = VALUE_CONSOLE_PASSIVE;
	else if (text)
		(void)value_parse_console(text, &console);
	if (console == VALUE_CONSOLE_AUTOPIPE)
		console = tty ? VALUE_CONSOLE_INTERACTIVE : VALUE_CONSOLE_PIPE;
	resolution->spec->console = consoles[console];
	return 0;
}

int spec_resolve(const struct settings *settings, const struct spec_context *context,
		 struct spec *ret)
{
	static int (*const steps[])(struct resolution *) = {
		spec_resolve_identity,	   spec_resolve_tree,	     spec_resolve_nix,
		spec_resolve_start,	   spec_resolve_environment, spec_resolve_console,
		spec_resolve_users,	   spec_resolve_network, /* the next: behind users and
								    network */
		spec_resolve_capabilities, spec_resolve_rlimits,     spec_resolve_mounts,
	};
	autospec struct spec spec;
	struct resolution resolution = {settings, context, &spec};

	spec_init(&spec);
	spec.managed = context->managed;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i](&resolution);

		if (r < 0)
			return r;
	}
	*ret = spec;
	spec = (struct spec){};
	return 0;
}
