/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's Nix store in the machine: the closure of one system, or all of it. It is read-only,
 * and locked so that not even the host's root could change that from inside. The system that boots
 * is made a root of the garbage collector first and examined afterwards: a collection that runs
 * meanwhile either sees the root, or has deleted a path, which is then found missing.
 * Must never write to the host's store. Supervisor's side.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "host/host.h"
#include "host/store.h"
#include "kernel/sys.h"
#include "lib/fs.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/registry.h"
#include "nix/nix.h"

/* The group nixbld on NixOS, whose members build. A store belongs to root and this group. */
#define NIXBLD_GID 30000
#define STORE_MODE 01775
#define STORE_FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define PROFILE_INSIDE NIX_STATE_DIR "/profiles"

/* What a guest that builds through the host's daemon needs in addition to the store. */
static const struct daemon_bind {
	enum plan_slot slot;
	const char *target;
	bool is_writable;
} daemon_binds[] = {
	{PLAN_SLOT_NIX_DB, NIX_STATE_DIR "/db", false},
	{PLAN_SLOT_NIX_SOCKET, NIX_STATE_DIR "/daemon-socket", false},
	{PLAN_SLOT_NIX_PROFILES, PROFILE_INSIDE, true},
	{PLAN_SLOT_NIX_ROOTS, NIX_STATE_DIR "/gcroots", true},
};

const char *store_mode_name(enum spec_store store)
{
	static const char *const names[] = {
		[SPEC_STORE_OWN] = "own",
		[SPEC_STORE_CLOSURE] = "closure",
		[SPEC_STORE_WHOLE] = "whole",
		[SPEC_STORE_DAEMON] = "daemon",
	};

	return names[store];
}

char *store_profile_machine(const char *system)
{
	const char *rest = str_after_prefix(system, NIX_PROFILES_DIR "/");
	size_t length = rest ? strcspn(rest, "/") : 0;

	return length > 0 && streq(rest + length, "/system") ? strndup(rest, length) : NULL;
}

void store_paths_free(struct plan_store_path *paths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((void *)paths[i].name);
		free((void *)paths[i].link);
	}
	free(paths);
}

static int look_at_path(int store, const char *name, struct plan_store_path *ret)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstatat(store, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	ret->is_file = S_ISREG(st.st_mode);
	ret->mode = st.st_mode & 07777;
	ret->size_bytes = (uint64_t)st.st_size;
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(store, name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	ret->link = strndup(target, (size_t)n);
	return ret->link ? 0 : -ENOMEM;
}

static int say_gone(const char *name, const char *system, int error)
{
	(void)log_errno(error, "look at " NIX_STORE_DIR "/%s, which %s needs", name, system);
	if (error == -ENOENT)
		log_hint("the database knows it, but it is gone from the store: nix-store --verify "
			 "--repair fetches or builds it again");
	return error;
}

/* Takes the names of the closure, also on error. */
static int look_at_paths(int store, const char *system, struct nix_closure *closure,
			 struct plan_store_path **ret, size_t *ret_count)
{
	size_t count = closure->count;
	struct plan_store_path *paths = calloc(count + 1, sizeof(*paths));
	int r = paths ? 0 : log_oom();

	for (size_t i = 0; i < count && r >= 0; i++) {
		r = look_at_path(store, closure->names[i], &paths[i]);
		if (r < 0)
			(void)say_gone(closure->names[i], system, r);
		paths[i].name = take_ptr(closure->names[i]);
	}
	/* The paths own the names now. */
	free(closure->names);
	*closure = (struct nix_closure){};
	if (r < 0) {
		store_paths_free(paths, paths ? count : 0);
		return r;
	}
	*ret = paths;
	*ret_count = count;
	return 0;
}

int store_check(const char *system)
{
	autoclosure struct nix_closure closure = {};
	autoclose int store = open(NIX_STORE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct plan_store_path *paths = NULL;
	size_t count = 0;
	int r;

	if (store < 0)
		return log_errno(-errno, "open " NIX_STORE_DIR);
	r = nix_closure_read(system, &closure);
	if (r >= 0)
		r = look_at_paths(store, system, &closure, &paths, &count);
	if (r >= 0)
		store_paths_free(paths, count);
	return r;
}

/* Makes the root before the closure is read: see the head of this file. */
static int take_system(struct host *host)
{
	struct host_facts *facts = &host->facts;
	autofree char *profile = store_profile_machine(host->spec->nix_system);
	int r = nix_system_find(host->spec->nix_system, &facts->store_system);

	if (r >= 0 && profile)
		(void)nix_profile_get(profile, NULL, &facts->store_generation);
	if (r >= 0 && !host->only_looks) {
		r = nix_root_booted(host->spec->machine, facts->store_system);
		host->has_store_root = r >= 0;
	}
	return r;
}

static bool kernel_is_older(unsigned long major, unsigned long minor)
{
	struct utsname name;
	unsigned long own;
	char *rest;

	if (uname(&name) < 0)
		return false;
	own = strtoul(name.release, &rest, 10);
	if (*rest != '.' || own != major)
		return *rest == '.' && own < major;
	return strtoul(rest + 1, NULL, 10) < minor;
}

/* An overlay takes idmapped layers from 5.19 on, and never takes an overlay as a layer. */
static bool needs_binds(int store, bool has_user_namespace)
{
	struct statfs fs;

	if (fstatfs(store, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC)
		return true;
	return has_user_namespace && kernel_is_older(5, 19);
}

int store_facts_look(int store, const char *system, struct nix_closure *closure,
		     struct host_facts *facts)
{
	facts->store_by_binds = needs_binds(store, facts->has_user_namespace);
	return look_at_paths(store, system, closure, &facts->store_paths, &facts->store_path_count);
}

static int read_closure(struct host *host)
{
	autoclosure struct nix_closure closure = {};
	struct host_facts *facts = &host->facts;
	/* Also if the whole store is bound: an incomplete system must not start. */
	int r = nix_closure_read(facts->store_system, &closure);

	if (r < 0 || host->spec->store != SPEC_STORE_CLOSURE)
		return r;
	return store_facts_look(host->slots[PLAN_SLOT_STORE], facts->store_system, &closure, facts);
}

/* The init of the system itself, not of the tree, which would have to follow each generation. */
static int take_init(struct host *host)
{
	struct host_facts *facts = &host->facts;

	facts->has_profile = true;
	if (host->spec->start != SPEC_START_BOOT)
		return 0;
	facts->init = str_printf("%s/init", facts->store_system);
	facts->init_notifies = true;
	if (!facts->init || strv_add(&facts->init_candidates, facts->init) < 0)
		return log_oom();
	return 0;
}

static int open_daemon_dir(struct host *host, const struct daemon_bind *bind)
{
	autofree char *path = bind->slot == PLAN_SLOT_NIX_PROFILES
				      ? str_printf(NIX_PROFILES_DIR "/%s", host->spec->machine)
			      : bind->slot == PLAN_SLOT_NIX_ROOTS
				      ? str_printf(NIX_ROOTS_DIR "/%s/inside", host->spec->machine)
				      : strdup(bind->target);
	int fd, r;

	if (!path)
		return log_oom();
	r = bind->is_writable && !host->only_looks ? fs_make_dirs(path, 0755) : 0;
	if (r < 0)
		return log_errno(r, "make %s", path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return log_errno(-errno, "open %s", path);
	if (fd < 0)
		log_info("%s is not there: machine %s can't build through the host's daemon", path,
			 host->spec->machine);
	else
		host_set_slot(host, bind->slot, fd);
	return 0;
}

static int prepare_daemon(struct host *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(daemon_binds); i++) {
		int r = open_daemon_dir(host, &daemon_binds[i]);

		if (r < 0)
			return r;
		if (host->slots[daemon_binds[i].slot] >= 0)
			host->facts.store_daemon_binds |= 1U << i;
	}
	if (!host->facts.has_user_namespace)
		log_warning("machine %s: its root is trusted by the host's nix-daemon, which makes "
			    "it as good as root of the host",
			    host->spec->machine);
	return 0;
}

static int store_prepare(struct host *host)
{
	int fd, r;

	if (host->spec->store == SPEC_STORE_OWN)
		return 0;
	if (!nix_is_present())
		return log_error(-ENOENT,
				 "there is no " NIX_STORE_DIR " on this host to boot %s from",
				 host->spec->nix_system);
	fd = open(NIX_STORE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return log_errno(-errno, "open " NIX_STORE_DIR);
	host_set_slot(host, PLAN_SLOT_STORE, fd);
	r = take_system(host);
	if (r >= 0)
		r = read_closure(host);
	if (r >= 0)
		r = take_init(host);
	if (r >= 0 && host->spec->store == SPEC_STORE_DAEMON)
		r = prepare_daemon(host);
	return r;
}

/* Covers /nix/store in our own mount namespace, where nobody else sees it. */
static void plan_attach_host(enum plan_slot in, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH_HOST, .stage = PLAN_STAGE_SETUP, .in = in,
		 .at = PLAN_SLOT_CWD, .path = NIX_STORE_DIR);
}

static void plan_attach(const char *target, enum plan_slot in, uint32_t owner, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = target, .uid = owner, .gid = owner);
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_SETUP, .in = in,
		 .at = PLAN_SLOT_ROOT, .path = target);
}

/* Copies what is mounted on our own /nix/store, to be attached elsewhere. */
static void plan_take(const char *below, bool must_lock, struct plan *plan)
{
	const char *path =
		plan_printf(plan, NIX_STORE_DIR "%s%s", below ? "/" : "", below ? below : "");

	if (must_lock)
		PLAN_ADD(plan, .kind = PLAN_OP_LOCK_TREE, .stage = PLAN_STAGE_SETUP, .path = path,
			 .out = PLAN_SLOT_STORE_TREE);
	else
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_STORE_TREE, .source = below, .flags = AT_RECURSIVE,
			 .out = PLAN_SLOT_STORE_TREE);
}

static uint32_t store_group(const struct host_facts *facts)
{
	bool fits = !facts->has_user_namespace || facts->uid_range > NIXBLD_GID;

	return fits ? facts->uid_shift + NIXBLD_GID : facts->uid_shift;
}

static void plan_tmpfs(const struct host_facts *facts, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_NEW_FS, .stage = PLAN_STAGE_SETUP, .source = "tmpfs",
		 .data = plan_printf(plan, "mode=%o,uid=%u,gid=%u,size=4m,nr_inodes=64k",
				     STORE_MODE, facts->uid_shift, store_group(facts)),
		 .flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .out = PLAN_SLOT_STORE_TREE);
	plan_attach_host(PLAN_SLOT_STORE_TREE, plan);
}

static void plan_list(enum plan_op_kind kind, const struct host_facts *facts, struct plan *plan)
{
	size_t size = facts->store_path_count * sizeof(*facts->store_paths);

	PLAN_ADD(plan, .kind = kind, .stage = PLAN_STAGE_SETUP,
		 .in = kind == PLAN_OP_STORE_BINDS ? PLAN_SLOT_STORE : PLAN_SLOT_NONE,
		 .at = PLAN_SLOT_STORE_TREE, .mode = STORE_MODE, .uid = facts->uid_shift,
		 .gid = store_group(facts), .blob = plan_copy(plan, facts->store_paths, size),
		 .blob_count = facts->store_path_count);
}

static void plan_binds(const struct host_facts *facts, bool must_lock, struct plan *plan)
{
	plan_list(PLAN_OP_STORE_BINDS, facts, plan);
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP,
		 .in = PLAN_SLOT_STORE_TREE, .number = STORE_FLAGS);
	plan_take(NULL, must_lock, plan);
}

static void plan_view(const struct host_facts *facts, bool must_lock, struct plan *plan)
{
	plan_list(PLAN_OP_STORE_VIEW, facts, plan);
	PLAN_ADD(plan, .kind = PLAN_OP_OVERLAY, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_STORE,
		 .at = PLAN_SLOT_STORE_TREE, .data = "redirect_dir=follow,metacopy=on",
		 .flags = STORE_FLAGS, .out = PLAN_SLOT_STORE_TREE);
	plan_attach_host(PLAN_SLOT_STORE_TREE, plan);
	plan_take(PLAN_STORE_VIEW, must_lock, plan);
}

enum plan_slot store_plan_tree(enum spec_store store, const struct host_facts *facts,
			       bool must_lock, struct plan *plan)
{
	bool is_closure = store == SPEC_STORE_CLOSURE;

	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN, .in = PLAN_SLOT_STORE,
		 .out = PLAN_SLOT_STORE);
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_STORE,
		 .ns = facts->has_user_namespace ? PLAN_SLOT_USERNS : PLAN_SLOT_NONE,
		 .number = STORE_FLAGS);
	if (!is_closure && !must_lock)
		return PLAN_SLOT_STORE;
	/* Only an attached mount can be copied, or be a layer. */
	plan_attach_host(PLAN_SLOT_STORE, plan);
	if (!is_closure) {
		plan_take(NULL, true, plan);
		return PLAN_SLOT_STORE_TREE;
	}
	plan_tmpfs(facts, plan);
	if (facts->store_by_binds)
		plan_binds(facts, must_lock, plan);
	else
		plan_view(facts, must_lock, plan);
	return PLAN_SLOT_STORE_TREE;
}

static void plan_daemon(const struct host_facts *facts, struct plan *plan)
{
	for (size_t i = 0; i < ARRAY_SIZE(daemon_binds); i++) {
		const struct daemon_bind *bind = &daemon_binds[i];

		if (!(facts->store_daemon_binds & (1U << i)))
			continue;
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN,
			 .in = bind->slot, .out = bind->slot);
		PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = bind->slot,
			 .ns = facts->has_user_namespace ? PLAN_SLOT_USERNS : PLAN_SLOT_NONE,
			 .number = bind->is_writable ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
						     : STORE_FLAGS);
		plan_attach(bind->target, bind->slot, facts->uid_shift, plan);
	}
}

void store_fill_link(struct plan_op *op, const char *system, uint32_t owner)
{
	*op = (struct plan_op){
		.kind = PLAN_OP_LINK,
		.stage = PLAN_STAGE_SETUP,
		.at = PLAN_SLOT_ROOT,
		.path = PROFILE_INSIDE,
		.source = "system",
		.data = system,
		.uid = owner,
		.gid = owner,
	};
}

static void plan_link(const struct host_facts *facts, struct plan *plan)
{
	struct plan_op op;

	store_fill_link(&op, plan_str(plan, facts->store_system), facts->uid_shift);
	plan_add(plan, &op);
}

static void store_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	if (spec->store == SPEC_STORE_OWN)
		return;
	/* With a user namespace all mounts of the guest get locked; otherwise it is done here. */
	plan_attach(NIX_STORE_DIR,
		    store_plan_tree(spec->store, facts, !facts->has_user_namespace, plan),
		    facts->uid_shift, plan);
	if (spec->store == SPEC_STORE_DAEMON)
		plan_daemon(facts, plan);
	else if (!spec->read_only)
		plan_link(facts, plan);
}

/* Nobody would forget the root of a machine without a profile later. */
static void store_undo(struct host *host)
{
	if (host->has_store_root && nix_profile_get(host->spec->machine, NULL, NULL) == -ENOENT)
		(void)nix_forget(host->spec->machine);
	host->has_store_root = false;
}

/* A root without a profile was left by a machine that ran without one and was killed. */
static void store_clean(uint64_t deadline_us)
{
	DIR *dir = opendir(NIX_ROOTS_DIR);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		automachine struct machine_state machine = {};

		if (entry->d_name[0] != '.' && machine_find(entry->d_name, &machine) == -ESRCH &&
		    nix_profile_get(entry->d_name, NULL, NULL) == -ENOENT)
			(void)nix_forget(entry->d_name);
	}
	if (dir)
		(void)closedir(dir);
}

static void store_done(struct host_facts *facts)
{
	free(facts->store_system);
	store_paths_free(facts->store_paths, facts->store_path_count);
}

const struct host_module host_module_store = {
	.name = "store",
	.prepare = store_prepare,
	.plan = store_plan,
	.undo = store_undo,
	.clean = store_clean,
	.done = store_done,
};
