// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading the options common to all verbs. Must never guess: an option is known or refused. */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "log/log.h"

/* `target` is the member; `cli` for the few that set another. */
typedef int (*option_fn)(struct cli *cli, void *target, const char *value, enum options_wish *wish);

struct option_row {
	char short_name;
	const char *long_name;
	option_fn fn;
	size_t offset;
	const char *metavar;
	const char *help;
};

static int wish_help(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	*wish = OPTIONS_HELP;
	return 0;
}

static int wish_version(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	*wish = OPTIONS_VERSION;
	return 0;
}

static int ignore(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	return 0;
}

static int set_true(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	*(bool *)target = true;
	return 0;
}

static int set_false(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	*(bool *)target = false;
	return 0;
}

static int set_string(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	*(const char **)target = value;
	return 0;
}

/* "-p Name,Leader -p OS" */
static int add_properties(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	autostrv char **words = NULL;
	int r = strv_split(value, ",", &words);

	for (char **word = words; r >= 0 && word && *word; word++)
		r = strv_add(target, *word);
	return r;
}

static int add_property_value(struct cli *cli, void *target, const char *value,
			      enum options_wish *wish)
{
	cli->value = true;
	return add_properties(cli, target, value, wish);
}

static int add_string(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	return strv_add(target, value);
}

/* Without a value: what the caller's own environment says, as systemd-nspawn has it. */
static int add_environment(struct cli *cli, void *target, const char *value,
			   enum options_wish *wish)
{
	const char *inherited;

	if (*value == '\0' || *value == '=')
		return -EINVAL;
	if (strchr(value, '='))
		return strv_add(target, value);
	inherited = getenv(value);
	return inherited ? strv_add_owned(target, str_printf("%s=%s", value, inherited)) : 0;
}

static int set_json(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	static const char *const names[] = {
		[CLI_JSON_OFF] = "off", [CLI_JSON_SHORT] = "short", [CLI_JSON_PRETTY] = "pretty"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(names[i], value)) {
			cli->json = (enum cli_json)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_json_pretty(struct cli *cli, void *target, const char *value,
			   enum options_wish *wish)
{
	cli->json = CLI_JSON_PRETTY;
	return 0;
}

static int set_signal(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	return parse_signal(value, target);
}

static int set_u32(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	return parse_u32(value, target);
}

static int set_size(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	uint64_t size = UINT64_MAX;
	int r = streq(value, "infinity") ? 0 : parse_size(value, &size);

	if (r < 0 || size == 0)
		return -EINVAL;
	*(uint64_t *)target = size;
	return 0;
}

static int set_duration(struct cli *cli, void *target, const char *value, enum options_wish *wish)
{
	return parse_duration_us(value, target);
}

static const struct option_row options[] = {
#define OPTION(short_name, long_name, fn, member, metavar, help)                                   \
	{short_name, long_name, fn, offsetof(struct cli, member), metavar, help},
#include "cli/options.def"
#undef OPTION
};

void options_init(struct cli *cli)
{
	*cli = (struct cli){.legend = true, .lines = UINT32_MAX, .timeout_us = UINT64_MAX};
}

void options_done(struct cli *cli)
{
	cli->properties = strv_free(cli->properties);
	cli->environment = strv_free(cli->environment);
	cli->contents = strv_free(cli->contents);
	cli->links = strv_free(cli->links);
}

static int apply(struct cli *cli, const struct option_row *row, const char *name, const char *value,
		 enum options_wish *wish)
{
	int r = row->fn(cli, (char *)cli + row->offset, value, wish);

	if (r == -ENOMEM)
		return log_oom();
	if (r < 0)
		return log_error(-EINVAL, "%s: '%s' is not a valid %s", name, value, row->metavar);
	return 0;
}

static const struct option_row *find_long(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *known = options[i].long_name;

		if (known && strlen(known) == length && strncmp(known, name, length) == 0)
			return &options[i];
	}
	return NULL;
}

static int say_unknown(const char *name)
{
	const char *names[ARRAY_SIZE(options) + 1] = {};
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].long_name && options[i].help)
			names[n++] = options[i].long_name;
	}
	(void)log_error(-EINVAL, "no such option: %s", name);
	near = str_after_prefix(name, "--") ? str_nearest(name + 2, names) : NULL;
	if (near)
		log_hint("did you mean --%s?", near);
	else
		log_hint("redd --help lists them");
	return -EINVAL;
}

static int take_value(int argc, char *argv[], int *index, const char *name, const char **ret)
{
	if (*index + 1 >= argc)
		return log_error(-EINVAL, "%s needs a value", name);
	*ret = argv[++*index];
	return 0;
}

static int take_long(struct cli *cli, int argc, char *argv[], int *index, enum options_wish *wish)
{
	const char *arg = argv[*index] + 2, *equals = strchr(arg, '=');
	size_t length = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct option_row *row = find_long(arg, length);
	autofree char *name = strndup(argv[*index], length + 2);
	const char *value = equals ? equals + 1 : NULL;
	int r = 0;

	if (!name)
		return log_oom();
	if (!row)
		return say_unknown(name);
	if (value && !row->metavar)
		return log_error(-EINVAL, "%s takes no value", name);
	if (!value && row->metavar)
		r = take_value(argc, argv, index, name, &value);
	return r < 0 ? r : apply(cli, row, name, value, wish);
}

static const struct option_row *find_short(char c)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].short_name == c)
			return &options[i];
	}
	return NULL;
}

/* "-qa", "-n5", "-n 5" */
static int take_short(struct cli *cli, int argc, char *argv[], int *index, enum options_wish *wish)
{
	for (const char *p = argv[*index] + 1; *p; p++) {
		const struct option_row *row = find_short(*p);
		const char name[] = {'-', *p, '\0'}, *value = NULL;
		int r = 0;

		if (!row)
			return say_unknown(name);
		if (row->metavar && p[1])
			value = p + 1;
		else if (row->metavar)
			r = take_value(argc, argv, index, name, &value);
		if (r >= 0)
			r = apply(cli, row, name, value, wish);
		if (r < 0 || row->metavar)
			return r;
	}
	return 0;
}

int options_take(struct cli *cli, int argc, char *argv[], int *index, enum options_wish *wish)
{
	for (; *index < argc; ++*index) {
		const char *arg = argv[*index];
		int r;

		if (arg[0] != '-' || arg[1] == '\0')
			return 0;
		if (streq(arg, "--")) {
			++*index;
			return 1;
		}
		r = arg[1] == '-' ? take_long(cli, argc, argv, index, wish)
				  : take_short(cli, argc, argv, index, wish);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A help line that begins with "VERB, VERB: " is about an option of these verbs only. */
static const char *help_for_verb(const char *help, const char *verb)
{
	const char *colon = help ? strstr(help, ": ") : NULL;

	/* A sentence has a capital first. */
	if (!verb || !colon || help[0] < 'a' || help[0] > 'z')
		return help;
	for (const char *p = help; p < colon; p += strspn(p, ", ")) {
		size_t length = strcspn(p, ",:");

		if (length == strlen(verb) && strncmp(p, verb, length) == 0)
			return colon + 2;
		p += length;
	}
	return NULL;
}

void options_print_help(const char *verb)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_row *row = &options[i];
		const char *help = help_for_verb(row->help, verb);
		char left[64], brief[] = "   ";

		if (!help)
			continue;
		if (row->short_name) {
			brief[0] = '-';
			brief[1] = row->short_name;
		}
		(void)snprintf(left, sizeof(left), "%s --%s%s%s", brief, row->long_name,
			       row->metavar ? "=" : "", row->metavar ? row->metavar : "");
		(void)printf("  %-33s %s\n", left, help);
	}
}
