/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which users of the host a machine's users are. The range is picked as systemd-nspawn picks it, so
 * that a name has the same range under both: the tree's owner if that is the start of a range, else
 * SipHash of the name, else any free one. A range in use is locked by the file that nspawn locks.
 * Must never pick a range that overlaps users or subordinate ids of the host, and never chown a
 * tree: mounts are mapped instead. Supervisor's side.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "host/host.h"
#include "host/idranges.h"
#include "lib/fs.h"
#include "lib/hash.h"
#include "lib/lock.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

/* Source: systemd's UIDS-GIDS.md, "container UID range". */
#define RANGE_FIRST UINT32_C(0x00080000)
#define RANGE_LAST UINT32_C(0x6fff0000)
#define RANGE_SIZE UINT32_C(0x10000)
#define RANGE_TRIES 100
#define LOCK_DIR "/run/systemd/nspawn-uid"

static bool range_is_valid(uint32_t shift)
{
	return shift >= RANGE_FIRST && shift <= RANGE_LAST && (shift & (RANGE_SIZE - 1)) == 0;
}

/* Like nspawn, uses only the low 32 bits of the hash. */
static uint32_t range_of_hash(uint64_t hash)
{
	return ((uint32_t)hash % (RANGE_LAST - RANGE_FIRST) + RANGE_FIRST) & ~(RANGE_SIZE - 1);
}

/* nspawn's fixed key: the same name must give the same range. */
static uint32_t range_of_name(const char *name)
{
	static const uint8_t key[16] = {0xe1, 0x56, 0xe0, 0xf0, 0x4a, 0xf0, 0x41, 0xaf,
					0x96, 0x41, 0xcf, 0x41, 0x33, 0x94, 0xff, 0x72};

	return range_of_hash(hash_siphash24(name, strlen(name), key));
}

static int open_etc(void)
{
	int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return etc < 0 ? log_errno(-errno, "open /etc") : etc;
}

static int log_unreadable(int error)
{
	return log_errno(error, "read from /etc/passwd, group, subuid and subgid which users of "
				"the host are taken");
}

/* -EBUSY if the range contains a user, a group or subordinate ids of the host. */
static int check_free(uint32_t shift)
{
	autoclose int etc = open_etc();
	int r = MIN(etc, 0);

	for (int kind = IDRANGES_ACCOUNTS; kind <= IDRANGES_SUBORDINATES && r == 0; kind++)
		r = idranges_find(etc, (enum idranges_kind)kind, shift, RANGE_SIZE, NULL);
	if (r < 0)
		return etc < 0 ? r : log_unreadable(r);
	return r > 0 ? -EBUSY : 0;
}

/* Held while the machine lives. -EBUSY: another machine (of redd or nspawn) has the range. */
static int lock_range(uint32_t shift)
{
	autofree char *name = str_printf("%u", shift);
	autoclose int dir = -1;
	int r = fs_make_dirs(LOCK_DIR, 0755);

	if (!name)
		return -ENOMEM;
	if (r < 0)
		return r;
	dir = open(LOCK_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : lock_take_at(dir, name, false);
}

static int try_range(struct host *host, uint32_t shift)
{
	int fd;
	int r = range_is_valid(shift) ? check_free(shift) : -EBUSY;

	if (r < 0)
		return r;
	host->facts.uid_shift = shift;
	if (host->only_looks)
		return 0;
	fd = lock_range(shift);
	if (fd < 0)
		return fd == -EBUSY ? fd
				    : log_errno(fd, "lock " LOCK_DIR "/%u for machine %s", shift,
						host->spec->machine);
	host->uid_lock_fd = fd;
	return 0;
}

static int pick_range(struct host *host, uint32_t owner)
{
	uint32_t candidate = owner & ~(RANGE_SIZE - 1);
	int r = try_range(host, candidate);

	if (r == -EBUSY)
		r = try_range(host, range_of_name(host->spec->machine));
	for (int i = 0; r == -EBUSY && i < RANGE_TRIES; i++) {
		uint64_t random;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return log_errno(-EIO, "get random bytes");
		r = try_range(host, range_of_hash(random));
	}
	if (r != -EBUSY)
		return r;
	(void)log_errno(r, "find a free range of users for machine %s", host->spec->machine);
	log_hint("none that was tried is free: /etc/subuid and /etc/subgid may give nearly all of "
		 "them away. --private-users=FIRST takes the 65536 users from FIRST on");
	return r;
}

/* A range that a person gave is taken as it is, with a warning if others have these users. */
static int check_fixed(struct host *host)
{
	struct host_facts *facts = &host->facts;
	autofree char *who = NULL, *account = NULL;
	autoclose int etc = open_etc();
	int r = etc;

	if (r >= 0)
		r = idranges_find(etc, IDRANGES_SUBORDINATES, facts->uid_shift, facts->uid_range,
				  &who);
	if (r > 0)
		log_warning("machine %s: %s was given some of its users by /etc/subuid or "
			    "/etc/subgid: the containers of both reach each other's files",
			    host->spec->machine, who);
	/* Processes of the user who made it have all power over the machine's user namespace. */
	if (r >= 0)
		r = idranges_find(etc, IDRANGES_ACCOUNTS, facts->uid_shift, 1, &account);
	if (r < 0)
		return etc < 0 ? r : log_unreadable(r);
	if (r > 0)
		log_warning("machine %s: its root is %s on the host, so limits of the kernel, as "
			    "of inotify instances, are counted on root of the host",
			    host->spec->machine, account);
	else
		facts->users_maker = facts->uid_shift;
	return 0;
}

static int image_owner(struct host *host, uint32_t *ret)
{
	struct stat st;

	if (fstat(host->slots[PLAN_SLOT_IMAGE], &st) < 0)
		return log_errno(-errno, "look at %s", host->spec->directory);
	*ret = st.st_uid;
	return 0;
}

/* A tree that belongs to the root of a range was shifted by chown, so it can't be mapped from 0. */
static int check_owner(struct host *host, uint32_t owner)
{
	if (owner == 0 || host->spec->users == SPEC_USERS_FIXED)
		return 0;
	return log_error(
		-EINVAL,
		"%s belongs to user %u, not to root: its owners were shifted on disk, which "
		"redd does not run yet. Shift them back, or import the image anew",
		host->spec->directory, owner);
}

static int idmap_begin(struct host *host)
{
	const struct spec *spec = host->spec;
	uint32_t owner = 0;
	int r = image_owner(host, &owner);

	if (r < 0 || spec->users == SPEC_USERS_NONE)
		return r;
	r = check_owner(host, owner);
	if (r < 0)
		return r;
	host->facts.has_user_namespace = true;
	host->facts.uid_range = spec->uid_range ? spec->uid_range : RANGE_SIZE;
	host->facts.uid_shift = spec->users == SPEC_USERS_FIXED ? spec->uid_shift : owner;
	if (spec->users == SPEC_USERS_FIXED && spec->uid_shift != 0)
		return check_fixed(host);
	if (spec->users == SPEC_USERS_PICK)
		r = pick_range(host, owner);
	host->facts.users_maker = host->facts.uid_shift;
	return r;
}

static void idmap_undo(struct host *host)
{
	autofree char *path = NULL;

	if (host->uid_lock_fd < 0)
		return;
	path = str_printf(LOCK_DIR "/%u", host->facts.uid_shift);
	if (path)
		(void)unlink(path);
	(void)close(take_fd(&host->uid_lock_fd));
}

/* Unlinks under the lock: others who wait for it check that their file still has the name. */
static void idmap_clean(uint64_t deadline_us)
{
	DIR *dir = opendir(LOCK_DIR);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		autoclose int lock = -1;

		if (entry->d_name[0] == '.')
			continue;
		lock = lock_take_at(dirfd(dir), entry->d_name, false);
		if (lock >= 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		(void)closedir(dir);
}

const struct host_module host_module_idmap = {
	.name = "idmap",
	.begin = idmap_begin,
	.undo = idmap_undo,
	.clean = idmap_clean,
};
