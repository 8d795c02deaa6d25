// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads closures from the database, or from nix-store where the database can't be read, and checks
 * that all their paths exist. Must never write to the store. Caller's side of clone().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/info.h"
#include "nix/names.h"
#include "nix/nix.h"
#include "nix/run.h"

#define DB_DIR NIX_STATE_DIR "/db"
/* Limits the output of nix-store: a closure of a hundred thousand paths has less. */
#define OUTPUT_MAX (64 * 1024 * 1024)
#define MISSING_SHOWN 5

bool nix_is_present(void)
{
	struct stat st;

	return stat(NIX_STORE_DIR, &st) == 0 && S_ISDIR(st.st_mode);
}

void nix_closure_done(struct nix_closure *closure)
{
	(void)strv_free(closure->names);
	*closure = (struct nix_closure){};
}

static const char *why_unreadable(int error)
{
	static const struct {
		int error;
		const char *why;
	} rows[] = {
		{-ENOENT, "there is none"},
		{-EPROTO, "its version is unknown to redd"},
		{-EUCLEAN, "it is damaged"},
		{-EBADMSG, "it has a path that can't be one"},
		{-EROFS, "it may be written while it is read-only here"},
		{-EACCES, "it can't be opened (SQLite wants to make a file beside it)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].error == error)
			return rows[i].why;
	}
	return strerror(-error);
}

static int not_valid(const char *store_path)
{
	(void)log_error(-ENOENT, "%s is not in the store", store_path);
	log_hint("it was never built or copied here, or the garbage collector took it");
	return -ENOENT;
}

/* Each line is a store path. */
static int infos_from_lines(const char *text, struct nix_infos *ret)
{
	autostrv char **lines = NULL;
	autoinfos struct nix_infos infos = {};
	int r = strv_split(text, "\n", &lines);

	if (r < 0)
		return r;
	infos.items = calloc(strv_length(lines) + 1, sizeof(*infos.items));
	if (!infos.items)
		return -ENOMEM;
	for (char **line = lines; line && *line; line++) {
		const char *name = nix_name_of_path(*line);

		if (!name)
			return -EBADMSG;
		infos.items[infos.count].name = strdup(name);
		if (!infos.items[infos.count].name)
			return -ENOMEM;
		infos.count++;
	}
	if (infos.count == 0)
		return -EBADMSG;
	*ret = infos;
	infos = (struct nix_infos){};
	return 0;
}

static int compare_infos(const void *a, const void *b)
{
	return strcmp(((const struct nix_info *)a)->name, ((const struct nix_info *)b)->name);
}

/* Runs nix-store and words its failure. */
static int ask_nix_store(char *const argv[], const char *store_path, int db_error, char **ret)
{
	int r = nix_run_read(argv, -1, OUTPUT_MAX, ret);

	if (r == 0)
		return 0;
	if (r > 0) {
		(void)log_error(-EIO, "nix-store doesn't know what %s needs (exit code %d)",
				store_path, r);
		return -EIO;
	}
	(void)log_error(r, "the store's database " DB_DIR " can't be read: %s; and nix-store: %s",
			why_unreadable(db_error), strerror(-r));
	return r;
}

static int dump_records(const struct nix_infos *names, const char *store_path, int db_error,
			struct nix_infos *ret)
{
	autostrv char **argv = NULL;
	autofree char *text = NULL;
	int r = strv_add(&argv, "nix-store");

	if (r >= 0)
		r = strv_add(&argv, "--dump-db");
	for (size_t i = 0; i < names->count && r >= 0; i++)
		r = strv_add_owned(&argv, nix_path_of_name(names->items[i].name));
	if (r < 0)
		return log_oom();
	r = ask_nix_store(argv, store_path, db_error, &text);
	if (r < 0)
		return r;
	r = nix_registration_parse(text, ret);
	return r < 0 ? log_errno(r, "read what nix-store --dump-db says") : 0;
}

static int read_by_program(const char *store_path, enum nix_detail detail, int db_error,
			   struct nix_infos *ret)
{
	char *const argv[] = {(char *)"nix-store", (char *)"--query", (char *)"--requisites",
			      (char *)(uintptr_t)store_path, NULL};
	autoinfos struct nix_infos names = {};
	autofree char *text = NULL;
	int r;

	r = ask_nix_store(argv, store_path, db_error, &text);
	if (r < 0)
		return r;
	log_warning("the store's database " DB_DIR " can't be read (%s): asked nix-store, which is "
		    "slower",
		    why_unreadable(db_error));
	r = infos_from_lines(text, &names);
	if (r < 0)
		return log_errno(r, "read what nix-store says of %s", store_path);
	if (detail == NIX_DETAIL_REFERENCES) {
		r = dump_records(&names, store_path, db_error, ret);
		if (r < 0)
			return r;
	} else {
		*ret = names;
		names = (struct nix_infos){};
	}
	qsort(ret->items, ret->count, sizeof(*ret->items), compare_infos);
	return 0;
}

static int read_by_database(const char *name, enum nix_detail detail, struct nix_infos *ret)
{
	autodb struct nix_db *db = NULL;
	autoinfos struct nix_infos infos = {};
	int r = nix_db_open(DB_DIR, &db);

	if (r < 0)
		return r;
	r = nix_db_closure(db, name, &infos);
	if (r == -ENOENT)
		return 0;
	if (r >= 0 && detail == NIX_DETAIL_REFERENCES)
		r = nix_db_references(db, &infos);
	if (r < 0)
		return r;
	*ret = infos;
	infos = (struct nix_infos){};
	return 1;
}

/* The database may still list paths that somebody has removed by hand. */
static int check_all_there(const struct nix_infos *infos, const char *store_path)
{
	autoclose int fd = open(NIX_STORE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t missing = 0;

	if (fd < 0)
		return log_errno(-errno, "open the store " NIX_STORE_DIR);
	for (size_t i = 0; i < infos->count; i++) {
		struct stat st;

		if (fstatat(fd, infos->items[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (errno != ENOENT)
			return log_errno(-errno, "look at " NIX_STORE_DIR "/%s",
					 infos->items[i].name);
		if (missing++ < MISSING_SHOWN)
			(void)log_error(-ENOENT, "%s needs " NIX_STORE_DIR "/%s, which is gone",
					store_path, infos->items[i].name);
	}
	if (missing == 0)
		return 0;
	if (missing > MISSING_SHOWN)
		(void)log_error(-ENOENT, "and %zu more are gone", missing - MISSING_SHOWN);
	log_hint("repair the store: nix-store --verify --check-contents --repair");
	return -ENOENT;
}

int nix_infos_read(const char *store_path, enum nix_detail detail, struct nix_infos *ret)
{
	const char *name = nix_name_of_path(store_path);
	autoinfos struct nix_infos infos = {};
	int r;

	if (!name)
		return log_error(-EINVAL, "'%s' is no store path", store_path);
	r = read_by_database(name, detail, &infos);
	if (r == 0)
		return not_valid(store_path);
	if (r < 0)
		r = read_by_program(store_path, detail, r, &infos);
	if (r >= 0)
		r = check_all_there(&infos, store_path);
	if (r < 0)
		return r;
	*ret = infos;
	infos = (struct nix_infos){};
	return 0;
}

int nix_closure_read(const char *store_path, struct nix_closure *ret)
{
	autoinfos struct nix_infos infos = {};
	autoclosure struct nix_closure closure = {};
	int r = nix_infos_read(store_path, NIX_DETAIL_NAMES, &infos);

	if (r < 0)
		return r;
	closure.names = calloc(infos.count + 1, sizeof(*closure.names));
	if (!closure.names)
		return log_oom();
	for (size_t i = 0; i < infos.count; i++) {
		closure.names[closure.count++] = take_ptr(infos.items[i].name);
		closure.nar_bytes += infos.items[i].nar_bytes;
	}
	*ret = closure;
	closure = (struct nix_closure){};
	return 0;
}

static int check_by_program(const char *store_path, int db_error)
{
	char *const argv[] = {(char *)"nix-store", (char *)"--check-validity",
			      (char *)(uintptr_t)store_path, NULL};
	autofree char *text = NULL;
	int r = nix_run_read(argv, -1, OUTPUT_MAX, &text);

	if (r < 0)
		return log_error(
			r, "the store's database " DB_DIR " can't be read: %s; and nix-store: %s",
			why_unreadable(db_error), strerror(-r));
	return r == 0 ? 0 : not_valid(store_path);
}

int nix_path_check(const char *store_path)
{
	const char *name = nix_name_of_path(store_path);
	autodb struct nix_db *db = NULL;
	int r;

	if (!name)
		return log_error(-EINVAL, "'%s' is no store path", store_path);
	r = nix_db_open(DB_DIR, &db);
	if (r >= 0)
		r = nix_db_is_valid(db, name);
	if (r == 0)
		return not_valid(store_path);
	if (r < 0) {
		r = check_by_program(store_path, r);
		if (r < 0)
			return r;
	}
	if (faccessat(AT_FDCWD, store_path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? not_valid(store_path)
				       : log_errno(-errno, "look at %s", store_path);
	return 0;
}
