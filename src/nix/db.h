/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nix's database, read only: never written, never repaired. What it says is checked before it is
 * used (names, hashes, sizes): it is a file that others write. Quiet.
 * Source: the schema that Nix makes (ValidPaths, Refs), SQLite's "Write-Ahead Logging".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

struct nix_db;

/* Versions of the schema whose two tables are those that we read. */
#define NIX_DB_SCHEMA_MIN 7
#define NIX_DB_SCHEMA_MAX 10
/* More than any closure has: an endless answer is an error, not a full memory. */
#define NIX_DB_PATHS_MAX 1000000

/*
 * Opens the database in the folder `dir` (db.sqlite, schema). -ENOENT: there is none; -EPROTO: of a
 * version that we don't know; -EROFS: in WAL mode on a read-only file system while it may be
 * written elsewhere; -EUCLEAN: damaged; or -errno.
 */
int nix_db_open(const char *dir, struct nix_db **ret);
void nix_db_close(struct nix_db *db);
DEFINE_POINTER_CLEANUP(struct nix_db *, nix_db_close)
#define autodb autocall(nix_db_closep)

/* What is known of a valid path. */
struct nix_info {
	char *name;	    /* checked by nix_name_is_valid() */
	char hash[65];	    /* SHA-256 of the NAR in 64 digits; "" when it isn't in that form */
	uint64_t nar_bytes; /* 0: unknown */
	char **references;  /* names, sorted; only where they were asked for */
};

struct nix_infos {
	struct nix_info *items;
	size_t count;
};
void nix_infos_done(struct nix_infos *infos);
#define autoinfos autocall(nix_infos_done)

/*
 * All that the path needs, itself too, sorted by name. -ENOENT when it isn't valid; -EBADMSG when
 * the database has a name that can't be one.
 */
int nix_db_closure(struct nix_db *db, const char *name, struct nix_infos *ret);
/* Fills `references` of all. */
int nix_db_references(struct nix_db *db, struct nix_infos *infos);
/* 1 or 0, or -errno. */
int nix_db_is_valid(struct nix_db *db, const char *name);
