/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Imports a tar archive, from the request to the published image. Runs in the caller's process.
 * Must never read the archive itself: only the worker does. Loud: logs each failure once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "image/exposure.h"
#include "image/image.h"
#include "image/lock.h"
#include "image/name.h"
#include "image/remove.h"
#include "image/usage.h"
#include "kernel/sys.h"
#include "lib/fs.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "transfer/import/cpu_limit.h"
#include "transfer/import/staging.h"
#include "transfer/import/worker.h"
#include "transfer/progress.h"
#include "transfer/transfer.h"

struct import {
	const struct import_request *request;
	const char *pool;
	char *name;
	int pool_fd;
	int source_fd;
	int signal_fd;
	sigset_t old_signals;
	struct image *replaced; /* with --force: the image that has the name */
	struct image_lock lock; /* of the replaced image */
	struct staging staging;
	struct worker worker;
	struct progress progress;
};

static void import_done(struct import *i)
{
	worker_done(&i->worker);
	staging_done(&i->staging);
	image_lock_release(&i->lock);
	image_free(i->replaced);
	if (i->signal_fd >= 0) {
		(void)close(i->signal_fd);
		(void)sigprocmask(SIG_SETMASK, &i->old_signals, NULL);
	}
	if (i->source_fd > STDIN_FILENO)
		(void)close(i->source_fd);
	if (i->pool_fd >= 0)
		(void)close(i->pool_fd);
	free(i->name);
}

static int import_choose_name(struct import *i)
{
	const char *source = i->request->source;
	int r = 0;

	if (i->request->name)
		r = str_replace(&i->name, i->request->name);
	else if (streq(source, "-"))
		r = -EINVAL;
	else
		r = machine_name_from_path(source, &i->name);
	if (r == -ENOMEM)
		return log_oom();
	if (r == 0 && machine_name_is_valid(i->name))
		return 0;
	if (r < 0)
		(void)log_error(-EINVAL, "'%s' gives the image no name", source);
	else
		(void)log_error(-EINVAL, "'%s' is not a valid machine name", i->name);
	log_hint("give one: redd import-tar %s NAME (" MACHINE_NAME_FORM ")", source);
	return -EINVAL;
}

static int import_open_pool(struct import *i)
{
	int r = fs_make_dirs(i->pool, 0700);

	if (r < 0 && r != -EEXIST)
		return log_errno(r, "make the image pool %s", i->pool);
	i->pool_fd = open(i->pool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (i->pool_fd < 0)
		return log_errno(-errno, "open the image pool %s", i->pool);
	image_protect_pool(i->pool);
	r = transfer_clean_leftovers(i->pool_fd, IMAGE_CLEAN_SHORT_US);
	if (r < 0 && r != -ETIME)
		log_warning_errno(r, "remove what a killed import left in %s", i->pool);
	(void)image_clean_leftovers(IMAGE_CLEAN_SHORT_US);
	return 0;
}

static int import_exists(const struct import *i)
{
	(void)log_error(-EEXIST, "an image named %s exists already in %s", i->name, i->pool);
	log_hint("replace it with --force, or give another name: redd import-tar %s NAME",
		 i->request->source);
	return -EEXIST;
}

/* If an image of that name exists: fails, or with --force locks it so that it cannot be started. */
static int import_check_name(struct import *i)
{
	const struct image_pool pool = {.path = i->pool};
	int r = image_find_in(&pool, 1, i->name, &i->replaced);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return log_errno(r, "look for an image named %s in %s", i->name, i->pool);
	if (!i->request->force)
		return import_exists(i);
	if (i->replaced->kind == IMAGE_RAW || i->replaced->link) {
		(void)log_error(-EEXIST, "%s is a %s, which an import doesn't replace",
				i->replaced->path, i->replaced->link ? "link" : "raw disk");
		log_hint("remove it first: redd remove %s", i->name);
		return -EEXIST;
	}
	r = image_lock(i->replaced, false, &i->lock);
	if (r < 0) {
		(void)log_errno(r, "replace image %s", i->name);
		if (r == -EBUSY)
			log_hint("it is in use: redd stop %s", i->name);
	}
	return r;
}

static int import_open_source(struct import *i)
{
	const char *source = i->request->source;
	struct stat st;

	if (streq(source, "-")) {
		i->source_fd = STDIN_FILENO;
		if (isatty(STDIN_FILENO)) {
			(void)log_error(-EINVAL, "an archive can't be typed on a terminal");
			log_hint("redirect it: redd import-tar - %s < FILE", i->name);
			return -EINVAL;
		}
	} else {
		i->source_fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (i->source_fd < 0 || fstat(i->source_fd, &st) < 0)
		return log_errno(-errno, "open archive %s", source);
	if (S_ISDIR(st.st_mode)) {
		(void)log_error(-EISDIR, "%s is a directory, not an archive", source);
		log_hint("pack it: tar -C %s -c . | redd import-tar - %s", source, i->name);
		return -EISDIR;
	}
	if (S_ISREG(st.st_mode)) {
		off_t at = lseek(i->source_fd, 0, SEEK_CUR);

		i->progress.total = at >= 0 && st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
	}
	return 0;
}

/* SIGHUP is read and ignored: the import continues when its terminal goes away. */
static int import_catch_signals(struct import *i)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &set, &i->old_signals) < 0)
		return log_errno(-errno, "block signals");
	i->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return i->signal_fd < 0 ? log_errno(-errno, "make a signalfd") : 0;
}

static bool import_is_cancelled(const struct import *i)
{
	struct signalfd_siginfo info;

	while (read(i->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM)
			return true;
	return false;
}

static int import_cancelled(struct import *i)
{
	progress_clear(&i->progress);
	worker_stop(&i->worker);
	return log_error(-ECANCELED, "the import of %s was cancelled; nothing of it is kept",
			 i->name);
}

static int import_choose_quota(const struct import *i, struct worker_input *input)
{
	uint64_t limit = i->request->max_bytes;
	struct statvfs fs;

	if (fstatvfs(i->pool_fd, &fs) < 0)
		return log_errno(-errno, "ask the file system of %s for its free space", i->pool);
	input->quota =
		quota_of_file_system((uint64_t)fs.f_bavail * fs.f_frsize,
				     (uint64_t)fs.f_blocks * fs.f_frsize, fs.f_favail, fs.f_files);
	input->quota_is_set = limit != 0;
	if (limit != 0)
		input->quota.bytes_max = limit;
	return 0;
}

static int import_start(struct import *i)
{
	struct worker_input input = {.source_fd = i->source_fd};
	uint64_t total = i->progress.total;
	int r = import_choose_quota(i, &input);

	if (r < 0)
		return r;
	r = staging_make(i->pool_fd, i->name, &i->staging);
	if (r < 0) {
		i->staging.fd = -1;
		return log_errno(r, "make a folder for %s in %s", i->name, i->pool);
	}
	input.tree_fd = i->staging.tree_fd;
	input.lock_fd = i->staging.fd;
	progress_start(&i->progress, i->request, i->name);
	r = worker_start(&input, &i->worker);
	if (r < 0)
		return log_errno(r, "start the unpacking process");
	i->progress.total = total;
	i->progress.stats = &i->worker.shared->stats;
	return 0;
}

static int import_took_too_long(struct import *i)
{
	const struct transfer_stats *s = &i->worker.shared->stats;
	unsigned long long mib = atomic_load(&s->bytes_decoded) >> 20;
	unsigned long long entries = atomic_load(&s->entries);

	progress_clear(&i->progress);
	worker_stop(&i->worker);
	(void)log_error(-ETIME,
			"import %s: reading it takes far more processor time than %llu entries of "
			"%llu MiB need",
			i->name, entries, mib);
	log_hint("the archive may be hostile; nothing was imported");
	return -ETIME;
}

/* Time until the next line of progress, or the next check of the worker. */
static int import_timeout_ms(struct import *i)
{
	int timeout_ms = progress_timeout_ms(&i->progress);

	return timeout_ms < 0 ? CPU_LIMIT_INTERVAL_MS : MIN(timeout_ms, CPU_LIMIT_INTERVAL_MS);
}

static int import_wait(struct import *i)
{
	struct pollfd fds[] = {
		{.fd = i->worker.pidfd, .events = POLLIN},
		{.fd = i->signal_fd, .events = POLLIN},
	};

	while (fds[0].revents == 0) {
		if (poll(fds, ARRAY_SIZE(fds), import_timeout_ms(i)) < 0 && errno != EINTR)
			return log_errno(-errno, "wait for the unpacking process");
		if (fds[1].revents && import_is_cancelled(i))
			return import_cancelled(i);
		progress_tick(&i->progress);
		if (fds[0].revents == 0 &&
		    cpu_limit_check(i->worker.pid, &i->worker.shared->stats) < 0)
			return import_took_too_long(i);
	}
	return 0;
}

static int import_failed(struct import *i, int r)
{
	const struct failure *f = &i->worker.shared->failure;
	const char *source = i->request->source;

	progress_clear(&i->progress);
	(void)log_error(r, "import %s as %s: %s", streq(source, "-") ? "standard input" : source,
			i->name, f->what);
	if (f->hint[0])
		log_hint("%s", f->hint);
	return r;
}

/* Don't trust the worker to end its notes with a NUL. */
static void import_warn_of_entries(const struct import *i)
{
	struct transfer_stats *s = &i->worker.shared->stats;
	uint64_t count = atomic_load(&s->notes);

	for (size_t n = 0; n < MIN(count, (uint64_t)STATS_NOTES_MAX); n++)
		log_warning("%s: %.*s", i->name, (int)sizeof(s->note[n]) - 1, s->note[n]);
	if (count > STATS_NOTES_MAX)
		log_warning("%s: %llu more warnings of this kind", i->name,
			    (unsigned long long)(count - STATS_NOTES_MAX));
}

static void import_warn(const struct import *i)
{
	struct transfer_stats *s = &i->worker.shared->stats;
	int landlock = atomic_load(&i->worker.shared->confinement);
	const struct {
		_Atomic uint64_t *count;
		const char *what;
	} rows[] = {
		{&s->dropped_xattrs,
		 "extended attributes that only the archive's host could use were dropped"},
		{&s->dropped_acls, "ACLs could not be kept (an unknown kind, or no support here)"},
		{&s->dropped_flags, "file attributes (chattr) could not be kept"},
		{&s->skipped_nodes, "device nodes were left out: this process may not make them"},
		{&s->odd_headers, "entries have headers that were understood only in part"},
	};

	if (landlock < 0)
		log_warning_errno(
			landlock,
			"%s: the unpacking process was not kept to its folder by landlock, "
			"only by its capabilities and system calls",
			i->name);
	for (size_t n = 0; n < ARRAY_SIZE(rows); n++)
		if (atomic_load(rows[n].count) > 0)
			log_warning("%s: %llu %s", i->name,
				    (unsigned long long)atomic_load(rows[n].count), rows[n].what);
	import_warn_of_entries(i);
}

/* An immutable or read-only image can't be renamed, so make it writable just before. */
static int import_unprotect_replaced(struct import *i)
{
	autoclose int fd = -1;

	if (!i->replaced)
		return 0;
	fd = image_open(i->replaced);
	if (fd < 0)
		return fd;
	return i->replaced->read_only ? staging_set_read_only(fd, false) : 0;
}

static int import_publish(struct import *i)
{
	int r = import_unprotect_replaced(i);

	if (r == 0)
		r = staging_publish(&i->staging, i->name, i->replaced != NULL);
	if (r == -EEXIST) {
		progress_clear(&i->progress);
		return import_exists(i);
	}
	if (r < 0) {
		progress_clear(&i->progress);
		return log_errno(r, "give the unpacked image its name %s/%s", i->pool, i->name);
	}
	r = staging_sync_name(&i->staging);
	if (r < 0) {
		progress_clear(&i->progress);
		log_warning_errno(
			r, "write the name of image %s to disk, it may not outlive a power cut",
			i->name);
	}
	if (i->request->read_only) {
		r = staging_set_read_only(i->staging.tree_fd, true);
		if (r < 0)
			log_warning_errno(r, "mark image %s as read-only", i->name);
	}
	(void)image_usage_record(i->pool_fd, i->name,
				 atomic_load(&i->worker.shared->stats.bytes_on_disk));
	r = staging_discard(&i->staging);
	if (r < 0)
		log_warning_errno(r, "remove the replaced image %s", i->name);
	return 0;
}

static int import_prepare(struct import *i)
{
	int r;

	if (geteuid() != 0) {
		(void)log_error(-EPERM, "only root can import an image into %s", i->pool);
		log_hint("run it with sudo");
		return -EPERM;
	}
	r = import_choose_name(i);
	if (r == 0)
		r = import_open_source(i);
	if (r == 0)
		r = import_open_pool(i);
	if (r == 0)
		r = import_check_name(i);
	return r;
}

int transfer_import_tar(const struct import_request *request)
{
	autocall(import_done) struct import i = {
		.request = request,
		.pool = request->pool ? request->pool : TRANSFER_POOL_DEFAULT,
		.pool_fd = -1,
		.source_fd = -1,
		.signal_fd = -1,
		.lock = IMAGE_LOCK_NONE,
		.staging = {.fd = -1, .tree_fd = -1},
		.worker = {.pidfd = -1},
	};
	autofree char *path = NULL;
	int r = import_prepare(&i);

	if (r == 0)
		r = import_catch_signals(&i);
	if (r == 0)
		r = import_start(&i);
	if (r == 0)
		r = import_wait(&i);
	if (r < 0)
		return r;
	r = worker_finish(&i.worker);
	if (r < 0)
		return import_failed(&i, r);
	r = import_publish(&i);
	if (r < 0)
		return r;
	path = str_printf("%s/%s", i.pool, i.name);
	import_warn(&i);
	progress_finish(&i.progress, path ? path : i.name);
	return 0;
}

int transfer_clean_leftovers(int pool_fd, uint64_t budget_us)
{
	uint64_t deadline_us =
		budget_us == UINT64_MAX ? UINT64_MAX : time_monotonic_us() + budget_us;

	return staging_clean_leftovers(pool_fd, deadline_us);
}
