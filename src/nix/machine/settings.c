// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The .nspawn file of a machine that boots from the host's store. A file that exists is the
 * user's: a section is appended, or the file is left alone. Caller's side of clone().
 */
#include "nix/machine/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/io.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/settings.h"

#define NEW_FILES_DIR "/etc/systemd/nspawn"
#define FILE_MAX (1024 * 1024)

void nix_settings_done(struct nix_settings *settings)
{
	free(settings->path);
	free(settings->old);
	free(settings->new);
	*settings = (struct nix_settings){};
}

/* The file in force, else the path for a new one. */
static int find_file(const char *machine, struct nix_settings *ret)
{
	for (const char *const *dir = settings_trusted_dirs; *dir; dir++) {
		autofree char *path = str_printf("%s/%s.nspawn", *dir, machine);
		int r;

		if (!path)
			return log_oom();
		r = io_read_file_at(AT_FDCWD, path, FILE_MAX, &ret->old, NULL);
		if (r >= 0) {
			ret->path = take_ptr(path);
			return 0;
		}
		if (r != -ENOENT)
			return log_errno(r, "read %s", path);
	}
	ret->path = str_printf(NEW_FILES_DIR "/%s.nspawn", machine);
	return ret->path ? 0 : log_oom();
}

/* The settings that the system brings along; see nix/guest.nix. A new string, "" for none. */
static char *read_base(const char *system)
{
	autofree char *path = str_printf("%s/redd.nspawn", system);
	char *text = NULL;

	if (path && io_read_file_at(AT_FDCWD, path, FILE_MAX, &text, NULL) >= 0)
		return text;
	return strdup("");
}

/* The value of a key of [X-Nix]; a new string, NULL when there is none. */
static char *find_key(const char *text, const char *key)
{
	autostrv char **lines = NULL;
	bool is_inside = false;

	if (strv_split(text, "\n", &lines) < 0)
		return NULL;
	for (char **line = lines; line && *line; line++) {
		char *stripped = str_strip(*line);
		const char *rest = str_after_prefix(stripped, key);

		if (*stripped == '[')
			is_inside = streq(stripped, "[X-Nix]");
		if (is_inside && rest && rest[strspn(rest, " ")] == '=')
			return strdup(str_strip((char *)rest + strspn(rest, " ") + 1));
	}
	return NULL;
}

static bool has_section(const char *text)
{
	return text && (str_after_prefix(text, "[X-Nix]") || strstr(text, "\n[X-Nix]"));
}

/* An existing section must have the same values as the new one would. */
static int check_section(const struct nix_settings *settings, const char *profile,
			 const char *store)
{
	autofree char *system = find_key(settings->old, "System");
	autofree char *mode = find_key(settings->old, "Store");

	if (system && streq(system, profile) && streq(mode ? mode : "closure", store))
		return 0;
	(void)log_error(-EEXIST, "%s has a section [X-Nix] that says something else",
			settings->path);
	log_hint("it has to say System=%s and Store=%s: change it, or remove the section", profile,
		 store);
	return -EEXIST;
}

static int add_section(struct nix_settings *settings, const char *base, const char *profile,
		       const char *store)
{
	settings->new =
		str_printf("%s%s[X-Nix]\nSystem=%s\nStore=%s\n", base,
			   *base && !str_has_suffix(base, "\n\n") ? "\n" : "", profile, store);
	return settings->new ? 0 : log_oom();
}

int nix_settings_prepare(const char *machine, const char *system, const char *profile,
			 const char *store, struct nix_settings *ret)
{
	struct nix_settings settings = {};
	int r = find_file(machine, &settings);

	if (r >= 0 && has_section(settings.old)) {
		r = check_section(&settings, profile, store);
	} else if (r >= 0) {
		autofree char *base = settings.old ? strdup(settings.old) : read_base(system);

		r = base ? add_section(&settings, base, profile, store) : log_oom();
	}
	if (r < 0) {
		nix_settings_done(&settings);
		return r;
	}
	*ret = settings;
	return 0;
}

static int write_text(const char *path, const char *text)
{
	/* A fixed name, so that killed writers leave one file at most. */
	autofree char *temporary = str_printf("%.*s.%s.redd-new", (int)(path_last(path) - path),
					      path, path_last(path));
	autoclose int fd = -1;
	int r;

	if (!temporary)
		return -ENOMEM;
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, text, strlen(text));
	if (r >= 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

int nix_settings_write(const struct nix_settings *settings)
{
	int r;

	if (!settings->new)
		return 0;
	r = settings->old ? 0 : fs_make_dirs(NEW_FILES_DIR, 0755);
	if (r >= 0)
		r = write_text(settings->path, settings->new);
	return r < 0 ? log_errno(r, "write %s", settings->path) : 0;
}

void nix_settings_undo(const struct nix_settings *settings)
{
	if (!settings->new)
		return;
	if (settings->old)
		(void)write_text(settings->path, settings->old);
	else
		(void)unlink(settings->path);
}
