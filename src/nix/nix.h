/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's Nix store as far as machines need it: which system a text names, which paths it needs,
 * the generations of a machine and the roots that keep them from the garbage collector. Loud: each
 * failure is said once. Links and SQLite are read directly; `nix` and `nix-store` are only run to
 * build, to copy, and where the database can't be read.
 * Sources: Nix manual (Garbage collection, Profiles, File system objects),
 * doc/decisions/0015-nix.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define NIX_STORE_DIR "/nix/store"
#define NIX_STATE_DIR "/nix/var/nix"
/* One profile for each machine: NIX_PROFILES_DIR/NAME/system -> system-N-link -> store path. */
#define NIX_PROFILES_DIR NIX_STATE_DIR "/profiles/per-container"
/* One folder for each machine, whose links into the store are direct roots. */
#define NIX_ROOTS_DIR NIX_STATE_DIR "/gcroots/redd"

/* Store paths of a closure, names only ("hash-name"), sorted. */
struct nix_closure {
	char **names; /* NULL-terminated */
	size_t count;
	uint64_t nar_bytes; /* the sum of what the database says, 0 where it isn't known */
};

void nix_closure_done(struct nix_closure *closure);
#define autoclosure autocall(nix_closure_done)

/* Whether there is a store on this host at all. */
bool nix_is_present(void);

/*
 * SYSTEM as a person gives it: a store path, a link (`result`, a profile) that leads to one, or
 * a flake reference (".#machine", "path:…#x"), which is built by `nix build`, its progress passed
 * on. *ret: the system's store path, that is a directory with `init` for this host's architecture.
 */
int nix_system_find(const char *text, char **ret);
/* What its file nixos-version says: a new string, NULL where there is none. Quiet. */
char *nix_system_version(const char *store_path);

/*
 * The closure of a store path, from the database (also while others write it, in WAL mode, or on
 * a read-only file system), else from `nix-store --query --requisites`. -ENOENT (said) for a path
 * that isn't valid: unknown to the database, or gone from the store.
 */
int nix_closure_read(const char *store_path, struct nix_closure *ret);

/* A generation of a machine's profile. */
struct nix_generation {
	unsigned number;
	char *store_path;
	uint64_t created_us; /* of the link */
	bool is_current;
	bool is_booted; /* what runs now, or ran last, began with it */
};

int nix_generations_list(const char *machine, struct nix_generation **ret, size_t *ret_count);
void nix_generations_free(struct nix_generation *list, size_t count);
/*
 * Makes store_path the current generation: a new link (the root first, then the check that the path
 * is still valid), then the profile switched by rename. The same path as the current one makes
 * none. *ret_number is the current one afterwards. Nothing is left half-way by kill -9.
 */
int nix_profile_set(const char *machine, const char *store_path, unsigned *ret_number);
/* Switches to an existing generation; 0: the one before the current. */
int nix_profile_switch(const char *machine, unsigned number, unsigned *ret_number);
/* Current store path. -ENOENT, quiet, when the machine has no profile. */
int nix_profile_get(const char *machine, char **ret_store_path, unsigned *ret_number);
/* Never the current one, nor the booted one: -EBUSY. */
int nix_generation_delete(const char *machine, unsigned number);

/* What the machine boots now is kept until the next boot, whatever becomes of the profile. */
int nix_root_booted(const char *machine, const char *store_path);
/* What it is switched to while it runs, too; each of them is kept until the next boot. */
int nix_root_switched(const char *machine, const char *store_path);
/* Profile and roots of a machine that is removed. */
int nix_forget(const char *machine);
