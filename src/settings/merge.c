/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which .nspawn file counts, and what it has to say against the command line.
 *
 * Places, the first hit ends the search and nothing is merged between files:
 *   /etc/redd/nspawn      first, since a file there was written for redd alone, while
 *   /etc/systemd/nspawn   is shared with systemd-nspawn and
 *   /run/systemd/nspawn   with programs that make machines up at run time. These are trusted.
 *   beside the image      untrusted: it may have come with a download, so its author is anybody. It
 * may set what its rows in settings.def allow; no link is followed to it (P10). Masks, as in
 * systemd-nspawn: an option on the command line hides its whole group from the file, so that one
 * --bind= hides all Bind=, BindReadOnly= and TemporaryFileSystem= lines, and -n all of [Network]
 * but Port=. With --settings=override nothing is hidden, and what the file sets replaces the group;
 * for capabilities it adds to it. The defaults of `redd start` hide nothing.
 *
 * Must never follow a link that lies beside an image. Caller's side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/machine_name.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/file.h"
#include "settings/table.h"
#include "settings/value.h"

const char *const settings_trusted_dirs[] = {
	"/etc/redd/nspawn",
	"/etc/systemd/nspawn",
	"/run/systemd/nspawn",
	NULL,
};

/* The place that messages name: where people already keep such files. */
static const char *trusted_dir_to_name(const char *const *trusted_dirs)
{
	return trusted_dirs[0] && trusted_dirs[1] ? trusted_dirs[1] : trusted_dirs[0];
}

/* A link to /dev/null is an empty file, that is how people mask one. */
static bool is_dev_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* What everybody may write, anybody has written. */
static bool is_writable_by_all(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (st.st_mode & S_IWOTH);
}

static int read_settings_fd(int fd, struct settings_text *text, char **ret)
{
	autofree char *data = NULL;
	int r;

	if (is_dev_null(fd)) {
		*ret = strdup("");
		return *ret ? 0 : log_oom();
	}
	r = io_read_fd(fd, SETTINGS_FILE_MAX, &data, &text->size);
	if (r < 0)
		return log_errno(r, "read settings %s (a regular file of at most %d bytes)",
				 text->path, SETTINGS_FILE_MAX);
	text->data = data;
	*ret = take_ptr(data);
	return 0;
}

static int read_settings_file(struct settings *settings, int fd, struct settings_text *text)
{
	autofree char *data = NULL;
	int r;

	if (text->trusted && is_writable_by_all(fd)) {
		log_warning("%s: not trusted, everybody may write it", text->path);
		text->trusted = false;
	}
	text->data = "";
	r = read_settings_fd(fd, text, &data);
	if (r < 0)
		return r;
	settings->file_trusted = text->trusted;
	if (str_replace(&settings->file, text->path) < 0)
		return log_oom();
	return settings_read_text(settings, text);
}

/* 1 when the file was there. */
static int load_from_dir(struct settings *file, const char *dir, const char *machine,
			 const char *trusted_dir)
{
	autofree char *path = str_printf("%s/%s.nspawn", dir, machine);
	struct settings_text text = {.path = path, .trusted = true, .trusted_dir = trusted_dir};
	autoclose int fd = -1;
	int r;

	if (!path)
		return log_oom();
	/* O_NONBLOCK: a fifo must not hold us up. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return log_errno(-errno, "open settings %s", path);
	r = read_settings_file(file, fd, &text);
	return r < 0 ? r : 1;
}

static int load_beside_image(struct settings *file, const char *image, const char *machine,
			     struct settings_text *text)
{
	autofree char *absolute = NULL, *name = NULL, *path = NULL;
	autoclose int dir_fd = -1, fd = -1;
	const char *dir;
	int r = path_make_absolute(image, &absolute);

	if (r < 0)
		return log_errno(r, "find the directory of %s", image);
	dir = dirname(absolute);
	name = str_printf("%s.nspawn", machine);
	path = str_printf("%s/%s.nspawn", streq(dir, "/") ? "" : dir, machine);
	if (!name || !path)
		return log_oom();
	text->path = path;
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return 0;
	fd = path_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK);
	if (fd == -ENOENT)
		return 0;
	if (fd == -ELOOP) {
		log_warning("%s: ignored, it is a link; settings beside an image must be files",
			    path);
		return 0;
	}
	if (fd < 0)
		return log_errno(fd, "open settings %s", path);
	return read_settings_file(file, fd, text);
}

static int find_and_read(struct settings *file, const char *const *trusted_dirs,
			 const char *machine, const struct settings_text *beside, const char *image)
{
	struct settings_text text = *beside;

	for (const char *const *dir = trusted_dirs; *dir; dir++) {
		int r = load_from_dir(file, *dir, machine, text.trusted_dir);

		if (r != 0)
			return r;
	}
	return image ? load_beside_image(file, image, machine, &text) : 0;
}

static bool file_has_group(const struct settings *file, enum setting_id group)
{
	return settings_group_has(file, group, SETTING_FROM_FILE);
}

static void clear_group(struct settings *settings, enum setting_id group)
{
	for (int id = 0; id < SETTING_COUNT; id++)
		if (setting_table[id].group == group)
			settings_clear(settings, (enum setting_id)id);
}

static int copy_group(struct settings *settings, const struct settings *file, enum setting_id group)
{
	for (int id = 0; id < SETTING_COUNT; id++) {
		const struct setting_values *values = &file->rows[id];

		if (setting_table[id].group != group)
			continue;
		for (size_t i = 0; i < values->count; i++)
			if (settings_add(settings, (enum setting_id)id, &values->items[i]) < 0)
				return log_oom();
	}
	return 0;
}

/* Parameters without a word on what to do with them don't count (systemd issue 7428). */
static void drop_lonely_parameters(struct settings *file)
{
	const struct setting_value *parameter = settings_get(file, SETTING_PARAMETERS);

	if (!parameter || settings_get(file, SETTING_BOOT) || settings_get(file, SETTING_AS_PID2))
		return;
	log_warning("%s: ignored, since the file sets neither Boot= nor ProcessTwo=",
		    parameter->origin);
	settings_clear(file, SETTING_PARAMETERS);
}

static int merge_group(struct settings *settings, const struct settings *file,
		       enum setting_id group, bool override)
{
	if (!file_has_group(file, group))
		return 0;
	if (!override && settings_group_has(settings, group, SETTING_FROM_OPTION))
		return 0;
	if (group != SETTING_CAPABILITY)
		clear_group(settings, group);
	return copy_group(settings, file, group);
}

static int merge(struct settings *settings, struct settings *file, bool override)
{
	drop_lonely_parameters(file);
	for (int group = 0; group < SETTING_COUNT; group++) {
		int r = merge_group(settings, file, (enum setting_id)group, override);

		if (r < 0)
			return r;
	}
	free(settings->file);
	settings->file = take_ptr(file->file);
	settings->file_trusted = file->file_trusted;
	return 0;
}

int settings_load_from(struct settings *settings, const char *const *trusted_dirs,
		       const char *machine, const char *image)
{
	autosettings struct settings file = {};
	enum value_settings_mode mode = VALUE_SETTINGS_YES;
	const char *text = settings_text(settings, SETTING_SETTINGS);
	struct settings_text beside;
	int r;

	if (text)
		(void)value_parse_settings_mode(text, &mode);
	if (mode == VALUE_SETTINGS_NO)
		return 0;
	/* It becomes part of paths. */
	if (!machine_name_is_valid(machine))
		return log_error(-EINVAL, "\"%s\" is not a valid machine name: " MACHINE_NAME_FORM,
				 machine);
	beside = (struct settings_text){
		.trusted = mode == VALUE_SETTINGS_TRUSTED,
		.trusted_dir = trusted_dir_to_name(trusted_dirs),
	};
	r = find_and_read(&file, trusted_dirs, machine, &beside, image);
	if (r < 0 || !file.file)
		return r;
	return merge(settings, &file, mode == VALUE_SETTINGS_OVERRIDE);
}

int settings_load(struct settings *settings, const char *machine, const char *image)
{
	return settings_load_from(settings, settings_trusted_dirs, machine, image);
}

int settings_for_start(struct settings *settings)
{
	static const struct {
		enum setting_id id;
		const char *text;
	} defaults[] = {
		{SETTING_SETTINGS, "override"},
		{SETTING_BOOT, "yes"},
		{SETTING_PRIVATE_USERS, "pick"},
		{SETTING_VETH, "yes"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		struct setting_value value = {
			.text = (char *)defaults[i].text,
			.origin = (char *)"default of start",
			.source = SETTING_FROM_DEFAULT,
		};

		if (settings_add(settings, defaults[i].id, &value) < 0)
			return log_oom();
	}
	return 0;
}
