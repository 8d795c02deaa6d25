/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of `redd run`, read by the table: "--opt=value", "--opt value", "-x", "-bqM name",
 * "--". Must never guess at an option it doesn't know. Caller's side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "log/log.h"
#include "settings/table.h"
#include "settings/value.h"

struct reader {
	struct settings *settings;
	char *const *argv;
	int argc;
	int next; /* the word to read next */
};

/* One option as it was written: "--bind" or "-b", and its value if it came with one. */
struct option {
	const struct setting_name *name;
	const char *written;
	const char *value;
};

static int say_unknown(const char *written, const char *nearest)
{
	log_error(-EINVAL, "unknown option %s", written);
	if (nearest)
		log_hint("did you mean --%s?", nearest);
	else
		log_hint("see redd run --help");
	return -EINVAL;
}

/* `id` is the setting that the value was for: one option may lead to several. */
static int say_bad_value(const struct option *option, enum setting_id id, const char *value,
			 int error)
{
	enum setting_type type = setting_table[id].type;

	if (error == -ENOMEM)
		return log_oom();
	if (type == SETTING_TYPE_BIND && error == -EOPNOTSUPP)
		return log_error(-EINVAL,
				 "%s: \"%s\": an empty source (a temporary directory) is not "
				 "supported yet; use --tmpfs=",
				 option->written, value);
	return log_error(-EINVAL, "%s: \"%s\" isn't %s", option->written, value,
			 setting_types[type].form);
}

static int store(struct reader *reader, const struct option *option, enum setting_id id,
		 const char *text)
{
	autofree char *origin = strdup(option->written);
	struct setting_value value = {
		.text = (char *)text,
		.origin = origin,
		.source = SETTING_FROM_OPTION,
	};
	int r;

	if (!origin)
		return log_oom();
	r = setting_types[setting_table[id].type].check(text);
	if (r < 0)
		return say_bad_value(option, id, text, r);
	r = settings_add(reader->settings, id, &value);
	return r < 0 ? log_oom() : 0;
}

/* --rlimit=NAME=SOFT[:HARD] is sixteen settings in one option. */
static int store_rlimit(struct reader *reader, const struct option *option)
{
	const char *equals = strchr(option->value, '=');
	autofree char *name = strndup(option->value, strcspn(option->value, "="));
	enum setting_id id;

	if (!name)
		return log_oom();
	if (!equals)
		return say_bad_value(option, SETTING_RLIMIT, option->value, -EINVAL);
	if (setting_by_rlimit(name, &id) < 0)
		return log_error(-EINVAL, "%s: there is no resource limit \"%s\"", option->written,
				 name);
	return store(reader, option, id, equals + 1);
}

/* -E NAME takes what we have ourselves; where that is nothing, nothing is passed (X07: only here).
 */
static int store_environment(struct reader *reader, const struct option *option)
{
	const char *name = option->value;
	autofree char *assignment = NULL;
	const char *ours;

	if (strchr(name, '='))
		return store(reader, option, SETTING_ENVIRONMENT, name);
	if (!value_variable_name_is_valid(name, strlen(name)))
		return say_bad_value(option, SETTING_ENVIRONMENT, name, -EINVAL);
	ours = getenv(name);
	if (!ours)
		return 0;
	assignment = str_printf("%s=%s", name, ours);
	if (!assignment)
		return log_oom();
	return store(reader, option, SETTING_ENVIRONMENT, assignment);
}

static int take_option(struct reader *reader, const struct option *option)
{
	enum setting_id id = option->name->id;
	const char *later = setting_table[id].later;

	if (later) {
		log_error(-EINVAL, "option %s of systemd-nspawn is not supported yet: %s",
			  option->written, later);
		return -EINVAL;
	}
	if (id == SETTING_RLIMIT)
		return store_rlimit(reader, option);
	if (id == SETTING_ENVIRONMENT)
		return store_environment(reader, option);
	if (id == SETTING_USER && option->name->alias)
		log_warning("%s is the old name of --uid", option->written);
	return store(reader, option, id, option->value);
}

/* The next word is the value of an option that needs one and came without. */
static int take_next_word(struct reader *reader, struct option *option)
{
	if (reader->next >= reader->argc)
		return log_error(-EINVAL, "option %s needs a value: %s%s", option->written,
				 option->written, option->name->metavar);
	option->value = reader->argv[reader->next++];
	return 0;
}

static int complete_option(struct reader *reader, struct option *option)
{
	int r = 0;

	if (option->value && !setting_name_takes_value(option->name))
		return log_error(-EINVAL, "option %s takes no value", option->written);
	if (!option->value && setting_name_needs_value(option->name))
		r = take_next_word(reader, option);
	else if (!option->value || !setting_name_takes_value(option->name))
		option->value = option->name->value;
	return r < 0 ? r : take_option(reader, option);
}

static int read_long_option(struct reader *reader, const char *word)
{
	size_t length = strcspn(word + 2, "=");
	autofree char *written = strndup(word, length + 2);
	struct option option = {.name = setting_by_option(word + 2, length), .written = written};

	if (!written)
		return log_oom();
	if (!option.name)
		return say_unknown(written, setting_nearest_option(written + 2));
	if (word[length + 2] == '=')
		option.value = word + length + 3;
	return complete_option(reader, &option);
}

/* "-bqM name", "-Mname": the first that needs a value takes the rest, or the next word. */
static int read_short_options(struct reader *reader, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		char written[] = {'-', *c, '\0'};
		struct option option = {.name = setting_by_short_option(*c), .written = written};
		int r;

		if (!option.name)
			return say_unknown(written, NULL);
		if (setting_name_needs_value(option.name) && c[1])
			option.value = c + 1;
		r = complete_option(reader, &option);
		if (r < 0 || option.value == c + 1)
			return r;
	}
	return 0;
}

static bool asks_for_information(const struct settings *settings)
{
	return settings_get(settings, SETTING_HELP) || settings_get(settings, SETTING_VERSION);
}

static int read_options(struct reader *reader)
{
	while (reader->next < reader->argc && !asks_for_information(reader->settings)) {
		const char *word = reader->argv[reader->next];
		int r;

		if (word[0] != '-' || !word[1])
			break;
		reader->next++;
		if (streq(word, "--"))
			break;
		r = word[1] == '-' ? read_long_option(reader, word)
				   : read_short_options(reader, word);
		if (r < 0)
			return r;
	}
	return 0;
}

int settings_parse_command_line(struct settings *settings, int argc, char *argv[])
{
	struct reader reader = {.settings = settings, .argv = argv, .argc = argc, .next = 1};
	int r = read_options(&reader);

	if (r < 0 || asks_for_information(settings))
		return r < 0 ? r : reader.next;
	for (int i = reader.next; i < argc; i++) {
		struct setting_value value = {
			.text = argv[i],
			.origin = (char *)"the command line",
			.source = SETTING_FROM_OPTION,
		};

		if (settings_add(settings, SETTING_PARAMETERS, &value) < 0)
			return log_oom();
	}
	return MIN(reader.next, argc);
}
