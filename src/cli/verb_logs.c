// SPDX-License-Identifier: LGPL-2.1-or-later
/* redd logs: the console log with its times. Caller's side. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/verbs.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/consolelog.h"
#include "machine/registry.h"

struct reader;

struct format {
	const char *name;
	void (*print)(const struct consolelog_record *record);
};

struct reader {
	const struct cli *cli;
	const struct format *format;
	const char *machine;
	struct buf partial; /* the beginning of a line that is still being written */
};

/* "Nov 23 14:31:46" in local time, as journalctl has it. */
static void print_short(const struct consolelog_record *record)
{
	time_t seconds = (time_t)(record->when_us / USEC_PER_SEC);
	autofree char *text = str_plain(record->text);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		(void)strftime(when, sizeof(when), "%b %d %H:%M:%S", &tm);
	(void)printf("%s %s%s%s\n", when, record->kind == '=' ? "-- " : "", text ? text : "",
		     record->kind == '=' ? " --" : "");
}

static void print_iso(const struct consolelog_record *record)
{
	autofree char *text = str_plain(record->text);
	char when[40];

	(void)printf("%s%c%s\n", time_format_iso(record->when_us, when, sizeof(when)), record->kind,
		     text ? text : "");
}

/* For tools that want the console's own bytes: escaped on a terminal only. */
static void print_cat(const struct consolelog_record *record)
{
	autofree char *escaped = isatty(STDOUT_FILENO) ? str_plain(record->text) : NULL;

	if (record->kind != '=')
		(void)printf("%s\n", escaped ? escaped : record->text);
}

static const struct format formats[] = {
	{"short", print_short}, {"iso", print_iso}, {"cat", print_cat}};

static void print_json_record(const struct reader *reader, const struct consolelog_record *record)
{
	static const char *const kinds[][2] = {{" ", "line"}, {"+", "rest"}, {"=", "event"}};
	struct json_object *object = json_object_new_object();

	(void)json_object_object_add(object, "timeUSec", json_object_new_uint64(record->when_us));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i][0][0] == record->kind)
			(void)json_object_object_add(object, "kind",
						     json_object_new_string(kinds[i][1]));
	}
	(void)json_object_object_add(object, "text", json_from_text(record->text));
	(void)json_print(stdout, object, reader->cli->json == CLI_JSON_PRETTY);
	json_object_put(object);
}

/* Changes `text`. */
static void print_records(const struct reader *reader, char *text)
{
	char *line, *saved = NULL;

	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		struct consolelog_record record;

		if (consolelog_parse(line, &record) < 0)
			continue;
		if (reader->cli->json != CLI_JSON_OFF)
			print_json_record(reader, &record);
		else
			reader->format->print(&record);
	}
	(void)fflush(stdout);
}

/* Only whole records; the rest waits for its end. */
static void take_bytes(struct reader *reader, const char *data, size_t size)
{
	const char *end = memrchr(data, '\n', size);
	size_t whole = end ? (size_t)(end - data) + 1 : 0;

	buf_add(&reader->partial, data, whole);
	if (whole > 0 && reader->partial.data)
		print_records(reader, reader->partial.data);
	if (whole > 0)
		buf_done(&reader->partial);
	buf_add(&reader->partial, data + whole, size - whole);
}

static int read_more(struct reader *reader, int fd)
{
	char data[16384];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		take_bytes(reader, data, (size_t)n);
	return n < 0 ? -errno : 0;
}

/* When the file has become .1, the new one begins at its start. */
static int reopen(const char *path, int fd)
{
	struct stat now, ours;
	int again;

	if (stat(path, &now) < 0 || fstat(fd, &ours) < 0 || now.st_ino == ours.st_ino)
		return -EAGAIN;
	again = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return again < 0 ? -errno : again;
}

static int follow(struct reader *reader, uint64_t from)
{
	autofree char *path = str_printf(MACHINE_LOG_DIR "/%s.log", reader->machine);
	autoclose int inotify = inotify_init1(IN_CLOEXEC), fd = -1;
	int r = 0;

	if (!path)
		return -ENOMEM;
	if (inotify < 0 || inotify_add_watch(inotify, MACHINE_LOG_DIR, IN_MODIFY | IN_CREATE) < 0)
		return -errno;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || lseek(fd, (off_t)from, SEEK_SET) < 0)
		return -errno;
	while (r >= 0) {
		char events[4096];
		int again;

		r = read_more(reader, fd);
		again = r < 0 ? r : reopen(path, fd);
		if (again >= 0) {
			(void)close(fd);
			fd = again;
			continue;
		}
		if (r >= 0 && read(inotify, events, sizeof(events)) < 0 && errno != EINTR)
			r = -errno;
	}
	return r;
}

/* Where the last n lines begin; all of them without -n. */
static char *select_lines(const struct cli *cli, char *text)
{
	uint32_t wanted = cli->lines;
	char *p = text + strlen(text);

	if (wanted == UINT32_MAX)
		return text;
	for (uint32_t seen = 0; p > text; p--) {
		if (p[-1] == '\n' && seen++ == wanted)
			break;
	}
	return p;
}

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (streq(formats[i].name, name))
			return &formats[i];
	}
	return NULL;
}

int verb_logs(const struct cli *cli, int argc, char *argv[])
{
	struct reader reader = {.cli = cli,
				.machine = argv[1],
				.format = find_format(cli->output ? cli->output : "short")};
	autofree char *text = NULL;
	uint64_t end = 0;
	int r;

	if (!reader.format) {
		(void)log_error(-EINVAL, "--output=%s: short, iso or cat", cli->output);
		return CLI_EXIT_USAGE;
	}
	r = consolelog_read(reader.machine, &text, &end);
	if (r == -ENOENT || r == -EINVAL) {
		(void)log_error(r, "there is no console log of a machine '%s'", reader.machine);
		log_hint("logs are kept in %s", MACHINE_LOG_DIR);
		return CLI_EXIT_FAILURE;
	}
	if (r < 0)
		return cli_exit_code(log_errno(r, "read the console log of %s", reader.machine));
	print_records(&reader, select_lines(cli, text));
	if (cli->follow)
		r = follow(&reader, end);
	buf_done(&reader.partial);
	return r < 0 ? cli_exit_code(log_errno(r, "follow the console log")) : 0;
}
