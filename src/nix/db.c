// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads the store's database with SQLite. Must never open it for writing, nor let its schema run
 * anything (views, triggers, functions). Caller's side of clone(), never inside a machine.
 */
#include "nix/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "nix/names.h"
#include "nix/nix.h"

/* Nix holds its locks for milliseconds: a garbage collection deletes each path in a transaction. */
#define BUSY_TIMEOUT_MS 5000
#define HASH_PREFIX "sha256:"

struct nix_db {
	sqlite3 *handle;
};

DEFINE_POINTER_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
#define autostatement autocall(sqlite3_finalizep)

static int error_of(int code)
{
	static const struct {
		int code, error;
	} rows[] = {
		{SQLITE_CORRUPT, -EUCLEAN}, {SQLITE_NOTADB, -EUCLEAN},	{SQLITE_ERROR, -EUCLEAN},
		{SQLITE_NOMEM, -ENOMEM},    {SQLITE_PERM, -EACCES},	{SQLITE_BUSY, -EBUSY},
		{SQLITE_LOCKED, -EBUSY},    {SQLITE_CANTOPEN, -EACCES}, {SQLITE_READONLY, -EROFS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].code == (code & 0xff))
			return rows[i].error;
	}
	return -EIO;
}

void nix_db_close(struct nix_db *db)
{
	(void)sqlite3_close(db->handle);
	free(db);
}

static int check_schema(int dir_fd)
{
	autofree char *text = NULL;
	uint32_t version;
	int r = io_read_file_at(dir_fd, "schema", 64, &text, NULL);

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (parse_u32(text, &version) < 0)
		return -EUCLEAN;
	return version >= NIX_DB_SCHEMA_MIN && version <= NIX_DB_SCHEMA_MAX ? 0 : -EPROTO;
}

/*
 * In WAL mode readers create a -shm file. On a read-only file system they can't, and SQLite has to
 * be told that the database never changes; a nonempty log shows a writer that is active or crashed.
 */
static int check_immutable(int dir_fd, bool *ret)
{
	struct statvfs fs;
	struct stat st;

	if (fstatvfs(dir_fd, &fs) < 0)
		return -errno;
	*ret = fs.f_flag & ST_RDONLY;
	if (*ret && fstatat(dir_fd, "db.sqlite-wal", &st, 0) == 0 && st.st_size > 0)
		return -EROFS;
	return 0;
}

/* The path becomes part of a URI: escape special characters. */
static int make_uri(const char *dir, bool immutable, char **ret)
{
	autobuf struct buf uri = {};

	buf_add_str(&uri, "file:");
	for (const char *p = dir; *p; p++) {
		if (strchr("%?#", *p))
			buf_printf(&uri, "%%%02x", (unsigned char)*p);
		else
			buf_add(&uri, p, 1);
	}
	buf_printf(&uri, "/db.sqlite?mode=ro%s", immutable ? "&immutable=1" : "");
	return buf_take(&uri, ret);
}

static int open_handle(const char *uri, sqlite3 **ret)
{
	int code = sqlite3_open_v2(
		uri, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return error_of(code);
	(void)sqlite3_busy_timeout(*ret, BUSY_TIMEOUT_MS);
	(void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	return 0;
}

int nix_db_open(const char *dir, struct nix_db **ret)
{
	autodb struct nix_db *db = NULL;
	autofree char *uri = NULL;
	autoclose int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool immutable = false;
	int r;

	if (dir_fd < 0)
		return -errno;
	if (faccessat(dir_fd, "db.sqlite", R_OK, AT_EACCESS) < 0)
		return -errno;
	r = check_schema(dir_fd);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	r = check_immutable(dir_fd, &immutable);
	if (r < 0)
		return r;
	r = make_uri(dir, immutable, &uri);
	if (r < 0)
		return r;
	db = calloc(1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	r = open_handle(uri, &db->handle);
	if (r < 0)
		return r;
	*ret = take_ptr(db);
	return 0;
}

static int prepare(struct nix_db *db, const char *sql, sqlite3_stmt **ret)
{
	int code = sqlite3_prepare_v2(db->handle, sql, -1, ret, NULL);

	return code == SQLITE_OK ? 0 : error_of(code);
}

static int bind_path(sqlite3_stmt *statement, const char *name)
{
	autofree char *path = nix_path_of_name(name);
	int code;

	if (!path)
		return -ENOMEM;
	code = sqlite3_bind_text(statement, 1, path, -1, SQLITE_TRANSIENT);
	return code == SQLITE_OK ? 0 : error_of(code);
}

/* 1 when there is a row, 0 at the end. */
static int step(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : error_of(code);
}

/* A copy of a column with a store path: its name alone. */
static int take_name(sqlite3_stmt *statement, int column, char **ret)
{
	const char *path = (const char *)sqlite3_column_text(statement, column);
	const char *name = path ? nix_name_of_path(path) : NULL;

	/* Refuse an embedded NUL, which would cut the name short. */
	if (!name || strlen(path) != (size_t)sqlite3_column_bytes(statement, column))
		return -EBADMSG;
	*ret = strdup(name);
	return *ret ? 0 : -ENOMEM;
}

static void take_hash(sqlite3_stmt *statement, int column, char hash[65])
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	const char *digits = text ? str_after_prefix(text, HASH_PREFIX) : NULL;

	hash[0] = '\0';
	if (digits && strlen(digits) == 64 && strspn(digits, "0123456789abcdef") == 64)
		memcpy(hash, digits, 65);
}

void nix_infos_done(struct nix_infos *infos)
{
	for (size_t i = 0; i < infos->count; i++) {
		free(infos->items[i].name);
		(void)strv_free(infos->items[i].references);
	}
	free(infos->items);
	*infos = (struct nix_infos){};
}

static int add_info(struct nix_infos *infos, sqlite3_stmt *statement)
{
	struct nix_info *item;
	int64_t size = sqlite3_column_int64(statement, 2);
	int r;

	if (infos->count >= NIX_DB_PATHS_MAX)
		return -E2BIG;
	/* Double the capacity at each power of two. */
	if ((infos->count & (infos->count - 1)) == 0) {
		size_t capacity = infos->count ? 2 * infos->count : 1;
		struct nix_info *grown =
			reallocarray(infos->items, capacity, sizeof(*infos->items));

		if (!grown)
			return -ENOMEM;
		infos->items = grown;
	}
	item = &infos->items[infos->count];
	*item = (struct nix_info){.nar_bytes = size > 0 ? (uint64_t)size : 0};
	r = take_name(statement, 0, &item->name);
	if (r < 0)
		return r;
	take_hash(statement, 1, item->hash);
	infos->count++;
	return 0;
}

int nix_db_closure(struct nix_db *db, const char *name, struct nix_infos *ret)
{
	static const char sql[] =
		"WITH RECURSIVE needed(id) AS (SELECT id FROM ValidPaths WHERE path = ?1 "
		"UNION SELECT reference FROM Refs JOIN needed ON referrer = needed.id) "
		"SELECT path, hash, narSize FROM ValidPaths WHERE id IN needed ORDER BY path";
	autostatement sqlite3_stmt *statement = NULL;
	autoinfos struct nix_infos found = {};
	int r = prepare(db, sql, &statement);

	if (r >= 0)
		r = bind_path(statement, name);
	while (r >= 0 && (r = step(statement)) > 0)
		r = add_info(&found, statement);
	if (r < 0)
		return r;
	if (found.count == 0)
		return -ENOENT;
	*ret = found;
	found = (struct nix_infos){};
	return 0;
}

static int read_references(sqlite3_stmt *statement, struct nix_info *info)
{
	int r = bind_path(statement, info->name);

	while (r >= 0 && (r = step(statement)) > 0) {
		char *name = NULL;

		r = take_name(statement, 0, &name);
		if (r >= 0)
			r = strv_add_owned(&info->references, name);
	}
	(void)sqlite3_reset(statement);
	return r;
}

int nix_db_references(struct nix_db *db, struct nix_infos *infos)
{
	static const char sql[] = "SELECT target.path FROM ValidPaths AS source "
				  "JOIN Refs ON referrer = source.id "
				  "JOIN ValidPaths AS target ON reference = target.id "
				  "WHERE source.path = ?1 ORDER BY target.path";
	autostatement sqlite3_stmt *statement = NULL;
	int r = prepare(db, sql, &statement);

	for (size_t i = 0; i < infos->count && r >= 0; i++)
		r = read_references(statement, &infos->items[i]);
	return r;
}

int nix_db_is_valid(struct nix_db *db, const char *name)
{
	autostatement sqlite3_stmt *statement = NULL;
	int r = prepare(db, "SELECT 1 FROM ValidPaths WHERE path = ?1", &statement);

	if (r >= 0)
		r = bind_path(statement, name);
	return r < 0 ? r : step(statement);
}
