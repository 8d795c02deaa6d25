/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's Nix store, as far as machines need it: finding a system, its closure, a machine's
 * generations, and the roots that keep them from the garbage collector. Loud. Links and the
 * database are read directly; `nix` and `nix-store` run only to build, to copy, and where the
 * database can't be read.
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
/* A profile for each machine: NIX_PROFILES_DIR/NAME/system -> system-N-link -> store path. */
#define NIX_PROFILES_DIR NIX_STATE_DIR "/profiles/per-container"
/* A folder for each machine, whose links into the store are direct roots. */
#define NIX_ROOTS_DIR NIX_STATE_DIR "/gcroots/redd"

/* Store paths of a closure, names only ("hash-name"), sorted. */
struct nix_closure {
	char **names; /* NULL-terminated */
	size_t count;
	uint64_t nar_bytes; /* sum of the sizes in the database, 0: not known */
};

void nix_closure_done(struct nix_closure *closure);
#define autoclosure autocall(nix_closure_done)

/* Whether this host has a store. */
bool nix_is_present(void);

/*
 * Resolves the SYSTEM that a user gives: a store path, a link to one (`result`, a profile), or a
 * flake reference (".#machine", "path:…#x"), which `nix build` builds, with its progress shown.
 * *ret: the store path, a directory with an `init` for this host's architecture.
 */
int nix_system_find(const char *text, char **ret);
/* The content of its file nixos-version: a new string, NULL where there is none. Quiet. */
char *nix_system_version(const char *store_path);

/*
 * The closure of a store path, from the database (also while others write it, in WAL mode, or on
 * a read-only file system), else from `nix-store --query --requisites`. -ENOENT (said) for a path
 * that isn't valid: not in the database, or gone from the store.
 */
int nix_closure_read(const char *store_path, struct nix_closure *ret);

/* A generation of a machine's profile. */
struct nix_generation {
	unsigned number;
	char *store_path;
	uint64_t created_us; /* of the link */
	bool is_current;
	bool is_booted; /* the machine's present or last run booted it */
};

int nix_generations_list(const char *machine, struct nix_generation **ret, size_t *ret_count);
void nix_generations_free(struct nix_generation *list, size_t count);
/*
 * Makes store_path the current generation: creates a link, which is a root, checks that the path is
 * still valid, and switches the profile by rename. Makes no generation when the path is the current
 * one. *ret_number is the current generation afterwards. A kill at any time leaves the old or the
 * new state.
 */
int nix_profile_set(const char *machine, const char *store_path, unsigned *ret_number);
/* Switches to an existing generation; 0: the one before the current one. */
int nix_profile_switch(const char *machine, unsigned number, unsigned *ret_number);
/* Current store path. -ENOENT, quiet, when the machine has no profile. */
int nix_profile_get(const char *machine, char **ret_store_path, unsigned *ret_number);
/* Never the current one, nor the booted one: -EBUSY. */
int nix_generation_delete(const char *machine, unsigned number);

/* Keeps what the machine boots now until its next boot, even if the profile goes away. */
int nix_root_booted(const char *machine, const char *store_path);
/* Keeps what the machine is switched to while it runs, each system until the next boot. */
int nix_root_switched(const char *machine, const char *store_path);
/* Removes the profile and the roots of a machine. */
int nix_forget(const char *machine);
