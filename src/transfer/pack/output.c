// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes a file completely or not at all. Must never leave a partial file under the final name.
 * Runs in the packing process.
 */
#include "transfer/pack/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

#define MODE 0644

void output_done(struct output *o)
{
	if (o->hidden && o->dir_fd >= 0)
		(void)unlinkat(o->dir_fd, o->hidden, 0);
	free(o->hidden);
	if (o->fd > STDOUT_FILENO)
		(void)close(o->fd);
	if (o->dir_fd >= 0)
		(void)close(o->dir_fd);
	*o = (struct output){.fd = -1, .dir_fd = -1};
}

static int open_stdout(struct output *o)
{
	if (isatty(STDOUT_FILENO)) {
		(void)log_error(-EINVAL, "an archive is not for a terminal");
		log_hint("redirect it, or write it to a file with -o FILE");
		return -EINVAL;
	}
	o->fd = STDOUT_FILENO;
	return 0;
}

static int open_folder(struct output *o)
{
	size_t length = (size_t)(path_last(o->path) - o->path);
	autofree char *folder = length ? strndup(o->path, length) : strdup(".");

	if (!folder)
		return log_oom();
	o->name = path_last(o->path);
	if (!path_name_is_valid(o->name))
		return log_error(-EINVAL, "'%s' is no name of a file", o->path);
	o->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return o->dir_fd < 0 ? log_errno(-errno, "open the folder of %s", o->path) : 0;
}

static int make_hidden_name(struct output *o)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	free(o->hidden);
	o->hidden = str_printf(".#%.200s.%012" PRIx64, o->name, number & 0xffffffffffffU);
	return o->hidden ? 0 : -ENOMEM;
}

static int open_new(struct output *o)
{
	int r;

	o->fd = openat(o->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, MODE);
	if (o->fd >= 0)
		return 0;
	/* EISDIR: the kernel or file system doesn't know O_TMPFILE. */
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return log_errno(-errno, "make %s", o->path);
	r = make_hidden_name(o);
	if (r < 0)
		return log_errno(r, "make %s", o->path);
	o->fd = openat(o->dir_fd, o->hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
	return o->fd < 0 ? log_errno(-errno, "make %s", o->path) : 0;
}

int output_open(const char *path, struct output *ret)
{
	struct output o = {.path = path, .fd = -1, .dir_fd = -1};
	struct stat st;
	int r = 0;

	*ret = o;
	if (streq(path, "-")) {
		r = open_stdout(&o);
	} else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		r = log_errno(-EISDIR, "write %s", path);
	} else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		r = o.fd < 0 ? log_errno(-errno, "open %s", path) : 0;
	} else {
		o.replaces = true;
		r = open_folder(&o);
		if (r == 0)
			r = open_new(&o);
	}
	if (r < 0)
		output_done(&o);
	*ret = o;
	return r;
}

/* Gives a file without a name a hidden one. */
static int give_name(struct output *o)
{
	char self[64];
	int r = make_hidden_name(o);

	if (r < 0)
		return r;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", o->fd);
	if (linkat(AT_FDCWD, self, o->dir_fd, o->hidden, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	r = -errno;
	free(take_ptr(o->hidden));
	return r;
}

int output_publish(struct output *o)
{
	int r = 0;

	if (!o->replaces)
		return 0;
	if (fsync(o->fd) < 0)
		return log_errno(-errno, "sync %s", o->path);
	if (!o->hidden)
		r = give_name(o);
	if (r == 0 && renameat(o->dir_fd, o->hidden, o->dir_fd, o->name) < 0)
		r = -errno;
	if (r < 0)
		return log_errno(r, "give %s its name", o->path);
	free(take_ptr(o->hidden));
	if (fsync(o->dir_fd) < 0 && errno != EINVAL)
		log_warning_errno(-errno,
				  "write the name of %s to disk, it may not outlive a power cut",
				  o->path);
	return 0;
}
