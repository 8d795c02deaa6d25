// SPDX-License-Identifier: LGPL-2.1-or-later
/* Nix's database: hand-made files; unusual, hostile and damaged ones. */
#include <sqlite3.h>

#include "check.h"
#include "lib/str.h"
#include "nix/db.h"
#include "nix/names.h"

#define TABLES                                                                                     \
	"CREATE TABLE ValidPaths (id integer primary key autoincrement not null, path text "       \
	"unique not null, hash text not null, registrationTime integer not null, deriver text, "   \
	"narSize integer, ultimate integer, sigs text, ca text);"                                  \
	"CREATE TABLE Refs (referrer integer not null, reference integer not null, primary key "   \
	"(referrer, reference));"
#define PATH_OF(n) "/nix/store/0000000000000000000000000000000" #n "-p" #n
#define NAME_OF(n) "0000000000000000000000000000000" #n "-p" #n
#define HASH64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ROW(n, size)                                                                               \
	"INSERT INTO ValidPaths VALUES (" #n                                                       \
	", '" PATH_OF(n) "', 'sha256:" HASH64 "', 1, NULL, " #size ", 1, NULL, NULL);"
#define REF(a, b) "INSERT INTO Refs VALUES (" #a ", " #b ");"
/* 1 refers to 2 and 3, 2 to 3, 3 to itself; 4 is alone; 5 and 6 refer to each other. */
#define GRAPH                                                                                      \
	TABLES ROW(1, 10) ROW(2, 20) ROW(3, 30) ROW(4, 40) ROW(5, 50) ROW(6, 60) REF(1, 3)         \
		REF(1, 2) REF(2, 3) REF(3, 3) REF(5, 6) REF(6, 5)

static void make_db(const struct scratch *s, const char *schema, const char *sql)
{
	autofree char *path = str_printf("%s/db.sqlite", s->path);
	sqlite3 *db;

	if (schema)
		write_file(s->fd, "schema", schema);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void check_names(const struct nix_infos *infos, const char *expected)
{
	autobuf struct buf text = {};

	for (size_t i = 0; i < infos->count; i++)
		buf_printf(&text, "%s ", nix_name_without_hash(infos->items[i].name));
	assert_string_equal(text.data, expected);
}

static void test_closure(void **state)
{
	const struct scratch *s = *state;
	autoinfos struct nix_infos infos = {}, circle = {}, none = {};
	autodb struct nix_db *db = NULL;

	make_db(s, "10", GRAPH);
	assert_int_equal(nix_db_open(s->path, &db), 0);
	assert_int_equal(nix_db_closure(db, NAME_OF(1), &infos), 0);
	check_names(&infos, "p1 p2 p3 ");
	assert_int_equal(infos.items[1].nar_bytes, 20);
	assert_string_equal(infos.items[0].hash, HASH64);
	assert_int_equal(nix_db_references(db, &infos), 0);
	assert_int_equal(strv_length(infos.items[0].references), 2);
	assert_string_equal(infos.items[0].references[0], NAME_OF(2));
	assert_string_equal(infos.items[2].references[0], NAME_OF(3));
	assert_int_equal(nix_db_closure(db, NAME_OF(5), &circle), 0);
	check_names(&circle, "p5 p6 ");
	assert_int_equal(nix_db_closure(db, NAME_OF(9), &none), -ENOENT);
	assert_int_equal(nix_db_is_valid(db, NAME_OF(4)), 1);
	assert_int_equal(nix_db_is_valid(db, NAME_OF(9)), 0);
}

static int open_error(const struct scratch *s)
{
	autodb struct nix_db *db = NULL;

	return nix_db_open(s->path, &db);
}

static void test_schemas(void **state)
{
	static const struct {
		const char *schema;
		int error;
	} rows[] = {
		{"7", 0},	  {"10\n", 0},
		{"6", -EPROTO},	  {"11", -EPROTO},
		{"", -EUCLEAN},	  {"10x", -EUCLEAN},
		{"-1", -EUCLEAN}, {"99999999999999999999", -EUCLEAN},
	};
	const struct scratch *s = *state;

	assert_int_equal(open_error(s), -ENOENT);
	make_db(s, NULL, GRAPH);
	assert_int_equal(open_error(s), -EUCLEAN);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_file(s->fd, "schema", rows[i].schema);
		assert_int_equal(open_error(s), rows[i].error);
	}
}

static int closure_error(const struct scratch *s, const char *name)
{
	autoinfos struct nix_infos infos = {};
	autodb struct nix_db *db = NULL;
	int r = nix_db_open(s->path, &db);

	return r < 0 ? r : nix_db_closure(db, name, &infos);
}

/* security row: NX02 */
/* Entries that an attacker could write to make redd bind or pack something else. */
static void test_hostile_names(void **state)
{
	static const char *const paths[] = {
		"'/etc/passwd'",
		"'/nix/store/../../etc'",
		"'/nix/store/00000000000000000000000000000002-p/../../x'",
		"'/nix/store/'",
		"X'"
		"2f6e69782f73746f72652f303030303030303030303030303030303030303030303030303030303030"
		"30"
		"322d700078'",
		"42",
	};
	const struct scratch *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		autofree char *sql = str_printf(
			TABLES ROW(1, 1) "INSERT INTO ValidPaths VALUES (2, "
					 "%s, 'x', 1, NULL, 1, 1, NULL, NULL);" REF(1, 2),
			paths[i]);

		make_db(s, "10", sql);
		assert_int_equal(closure_error(s, NAME_OF(1)), -EBADMSG);
		assert_int_equal(unlinkat(s->fd, "db.sqlite", 0), 0);
	}
}

static void test_odd_values(void **state)
{
	const struct scratch *s = *state;
	autoinfos struct nix_infos infos = {};
	autodb struct nix_db *db = NULL;

	make_db(s, "10",
		TABLES ROW(1, -5) ROW(2, NULL) REF(1, 2)
			REF(1, 77) "UPDATE ValidPaths SET hash = 'md5:0' WHERE id = 2");
	assert_int_equal(nix_db_open(s->path, &db), 0);
	assert_int_equal(nix_db_closure(db, NAME_OF(1), &infos), 0);
	check_names(&infos, "p1 p2 ");
	assert_int_equal(infos.items[0].nar_bytes, 0);
	assert_int_equal(infos.items[1].nar_bytes, 0);
	assert_string_equal(infos.items[1].hash, "");
}

static void test_broken(void **state)
{
	const struct scratch *s = *state;

	make_db(s, "10", "CREATE TABLE Other (x);");
	assert_int_equal(closure_error(s, NAME_OF(1)), -EUCLEAN);
	write_file(s->fd, "db.sqlite",
		   "this is no database, and long enough to be looked at by SQLite "
		   "as a header of a hundred bytes or more, which it is not at all.");
	assert_int_equal(closure_error(s, NAME_OF(1)), -EUCLEAN);
}

/* Views must not replace tables: their text is code. */
static void test_view(void **state)
{
	const struct scratch *s = *state;

	make_db(s, "10",
		"CREATE TABLE Refs (referrer, reference);"
		"CREATE VIEW ValidPaths AS SELECT 1 AS id, '" PATH_OF(1) "' AS path, '' AS hash, 1 "
									 "AS narSize;");
	assert_int_equal(closure_error(s, NAME_OF(1)), -EUCLEAN);
}

/* The writer's log has newer data than the file; a reader sees both, and changes neither. */
static void test_wal(void **state)
{
	const struct scratch *s = *state;
	autofree char *path = str_printf("%s/db.sqlite", s->path);
	sqlite3 *writer;

	make_db(s, "10", "PRAGMA journal_mode = WAL;" GRAPH);
	assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
	assert_int_equal(sqlite3_exec(writer, "BEGIN IMMEDIATE;" ROW(7, 70) REF(1, 7) "COMMIT;",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(closure_error(s, NAME_OF(7)), 0);
	/* Also while a transaction is open. */
	assert_int_equal(sqlite3_exec(writer, "BEGIN IMMEDIATE;" ROW(8, 80), NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(closure_error(s, NAME_OF(7)), 0);
	assert_int_equal(closure_error(s, NAME_OF(8)), -ENOENT);
	assert_int_equal(sqlite3_close(writer), SQLITE_OK);
}

/* The folder's name becomes part of a URI. */
static void test_odd_folder(void **state)
{
	const struct scratch *s = *state;
	autofree char *odd = str_printf("%s/a?mode=rwc#%%41", s->path);
	struct scratch inner = {};
	autodb struct nix_db *db = NULL;
	autofree char *path = NULL;

	assert_int_equal(mkdir(odd, 0755), 0);
	inner.fd = open(odd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file(inner.fd, "schema", "10");
	path = str_printf("%s/db.sqlite", odd);
	write_file(inner.fd, "db.sqlite", "");
	assert_int_equal(nix_db_open(odd, &db), 0);
	assert_false(exists(s->fd, "a"));
	(void)close(inner.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_closure),	  scratch_test(test_schemas),
		scratch_test(test_hostile_names), scratch_test(test_odd_values),
		scratch_test(test_broken),	  scratch_test(test_view),
		scratch_test(test_wal),		  scratch_test(test_odd_folder),
	};

	return cmocka_run_group_tests_name("nix/db", tests, NULL, NULL);
}
