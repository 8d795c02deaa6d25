// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Resolves the SYSTEM that a user gives. Follows links as the kernel does: the store, the link and
 * the user belong to the host. Caller's side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/names.h"
#include "nix/nix.h"
#include "nix/run.h"

#define OUTPUT_MAX (1024 * 1024)
#define SMALL_FILE_MAX 4096

static void json_putp(struct json_object **object)
{
	(void)json_object_put(*object);
}

/* "nixpkgs#hello", ".#machine", "path:/x", "git+ssh://…"; a path otherwise. */
static bool is_flake_reference(const char *text)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+");

	return strchr(text, '#') || (scheme > 0 && text[scheme] == ':');
}

static int build_failed(const char *reference, int code)
{
	static const struct {
		int code;
		const char *why;
	} rows[] = {
		{1, "it can't be evaluated or built; nix said why above"},
		{100, "a build failed; nix said why above"},
		{101, "a build took too long"},
		{102, "what was fetched has another hash than was written down"},
		{104, "a build gave another result than before"},
		{128 + 2, "it was interrupted"},
		{128 + 9, "it was killed, perhaps for lack of memory"},
		{128 + 15, "it was stopped"},
	};
	const char *why = "nix said why above";

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].code == code)
			why = rows[i].why;
	}
	return log_error(-EIO, "nix build %s: exit code %d: %s", reference, code, why);
}

/*
 * [{"drvPath": …, "outputs": {"out": "/nix/store/…"}}]: --print-out-paths would be simpler, but nix
 * 2.8 lacks it.
 */
static int take_output(const char *json, const char *reference, char **ret)
{
	autocall(json_putp) struct json_object *all = json_tokener_parse(json);
	struct json_object *outputs = NULL, *out = NULL;

	if (all && json_object_is_type(all, json_type_array) && json_object_array_length(all) > 1)
		return log_error(-EINVAL, "%s gives several things, not one system", reference);
	if (all && json_object_is_type(all, json_type_array))
		(void)json_object_object_get_ex(json_object_array_get_idx(all, 0), "outputs",
						&outputs);
	if (outputs)
		(void)json_object_object_get_ex(outputs, "out", &out);
	if (!json_object_is_type(out, json_type_string))
		return log_error(-EBADMSG, "nix build %s names no output 'out'", reference);
	*ret = strdup(json_object_get_string(out));
	return *ret ? 0 : log_oom();
}

static int build(const char *reference, char **ret)
{
	char *const argv[] = {(char *)"nix",
			      (char *)"--extra-experimental-features",
			      (char *)"nix-command flakes",
			      (char *)"build",
			      (char *)"--no-link",
			      (char *)"--json",
			      (char *)"--",
			      (char *)(uintptr_t)reference,
			      NULL};
	autofree char *text = NULL;
	int r = nix_run_read(argv, -1, OUTPUT_MAX, &text);

	if (r == -ENOENT) {
		(void)log_error(-ENOENT, "there is no program 'nix' to build %s with", reference);
		log_hint("build it elsewhere and give the store path, or a tarball to redd "
			 "import-tar");
		return -ENOENT;
	}
	if (r < 0)
		return log_errno(r, "run nix build %s", reference);
	if (r > 0)
		return build_failed(reference, r);
	return take_output(text, reference, ret);
}

/* Reports a missing path, or a broken link with its target. */
static int resolve_failed(const char *text, int error)
{
	char target[PATH_MAX];
	ssize_t n = readlink(text, target, sizeof(target) - 1);

	if (n < 0 && error == -ENOENT) {
		(void)log_error(-ENOENT, "there is no '%s'", text);
		log_hint("SYSTEM is a store path, a link to one (result, a profile), or a flake "
			 "reference such as .#machine");
		return -ENOENT;
	}
	if (n < 0 || error != -ENOENT)
		return log_errno(error, "follow '%s' to the store", text);
	target[n] = '\0';
	(void)log_error(-ENOENT, "'%s' leads to %s, which is gone", text, target);
	log_hint("the garbage collector took it, as nothing pinned it: build it again");
	return -ENOENT;
}

static int resolve(const char *text, char **ret)
{
	autofree char *path = realpath(text, NULL);

	if (!path)
		return resolve_failed(text, -errno);
	if (nix_name_of_path(path)) {
		*ret = take_ptr(path);
		return 0;
	}
	if (str_after_prefix(path, NIX_STORE_DIR "/"))
		return log_error(-EINVAL, "'%s' is %s, which lies inside a store path", text, path);
	if (streq(path, text))
		return log_error(-EINVAL, "'%s' is not in " NIX_STORE_DIR, text);
	return log_error(-EINVAL, "'%s' leads to %s, which is not in " NIX_STORE_DIR, text, path);
}

/* Compares Nix's name of a system with the machine of uname(2). */
static bool runs_here(const char *system, const char *machine)
{
	static const struct {
		const char *machine, *system;
		bool narrow; /* 32 bits on a host with 64 */
	} also[] = {
		{"ppc64le", "powerpc64le-linux", false}, {"i586", "i686-linux", false},
		{"x86_64", "i686-linux", true},		 {"aarch64", "armv7l-linux", true},
		{"armv8l", "armv7l-linux", true},
	};
	const char *rest = str_after_prefix(system, machine);

	if (rest && streq(rest, "-linux"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(also); i++) {
		if (!streq(also[i].machine, machine) || !streq(also[i].system, system))
			continue;
		if (also[i].narrow)
			log_info("the system is for %s: this %s runs it as a 32-bit one", system,
				 machine);
		return true;
	}
	return false;
}

static int check_architecture(int fd, const char *path)
{
	autofree char *text = NULL, *shown = NULL;
	struct utsname host;
	char *system;
	int r = io_read_file_at(fd, "system", SMALL_FILE_MAX, &text, NULL);

	if (r == -ENOENT)
		return log_error(-EINVAL, "%s is no NixOS system: it has no file 'system'", path);
	if (r < 0)
		return log_errno(r, "read %s/system", path);
	system = str_strip(text);
	if (uname(&host) < 0)
		return log_errno(-errno, "ask for the architecture of this host");
	if (runs_here(system, host.machine))
		return 0;
	shown = str_escape(system);
	return log_error(-ENOEXEC, "%s is a system for %s, and this host is %s", path,
			 shown ? shown : "?", host.machine);
}

static int check_system(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOTDIR)
		return log_error(-EINVAL, "%s is a file, not a NixOS system", path);
	if (fd < 0)
		return log_errno(-errno, "open %s", path);
	if (fstatat(fd, "init", &st, 0) < 0 || !S_ISREG(st.st_mode)) {
		(void)log_error(-EINVAL, "%s is no NixOS system: it has no 'init'", path);
		log_hint("of a configuration, that is config.system.build.toplevel");
		return -EINVAL;
	}
	return check_architecture(fd, path);
}

int nix_system_find(const char *text, char **ret)
{
	autofree char *path = NULL, *built = NULL;
	struct stat st;
	int r;

	/* nix would take it for an option; a file of that name is "./-x". */
	if (text[0] == '-' || text[0] == '\0')
		return log_error(-EINVAL, "'%s' is no system", text);
	if (lstat(text, &st) < 0 && is_flake_reference(text)) {
		r = build(text, &built);
		if (r < 0)
			return r;
	}
	r = resolve(built ? built : text, &path);
	if (r >= 0)
		r = check_system(path);
	if (r < 0)
		return r;
	*ret = take_ptr(path);
	return 0;
}

char *nix_system_version(const char *store_path)
{
	autofree char *path = str_printf("%s/nixos-version", store_path);
	char *text = NULL;

	if (!path || io_read_file_at(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}
