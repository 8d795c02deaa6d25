/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of leases. Each change holds the lock from the read to the write. It is not flushed to
 * disk: the worst after a power cut is that a machine gets other addresses. Caller's side of
 * clone().
 */
#include "net/lease.h"

#include <errno.h>
#include <fcntl.h>

#include "lib/fs.h"
#include "lib/io.h"
#include "lib/lock.h"
#include "lib/macro.h"
#include "lib/time.h"
#include "net/lease_book.h"

#define LEASE_DIR "/var/lib/redd/network"
#define LEASE_NAME "leases"
#define LOCK_NAME "leases.lock"

static int open_dir(void)
{
	int fd = open(LEASE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_or_make_dir(void)
{
	int fd = open_dir();
	int r;

	if (fd != -ENOENT)
		return fd;
	r = fs_make_dirs(LEASE_DIR, 0755);
	return r < 0 ? r : open_dir();
}

/* A missing file, or one that can't be ours, holds no leases. */
static int read_book(int dir, struct lease_book *ret)
{
	autofree char *text = NULL;
	int r = io_read_file_at(dir, LEASE_NAME, LEASE_FILE_MAX, &text, NULL);

	if (r == -ENOENT || r == -EFBIG || r == -EBADFD)
		return 0;
	return r < 0 ? r : lease_book_parse(text, ret);
}

static int write_book(int dir, const struct lease_book *book)
{
	autobuf struct buf b = {};

	lease_book_format(book, &b);
	if (b.error < 0)
		return b.error;
	return io_replace_file_at(dir, LEASE_NAME, b.data, 0644, false);
}

static int look(const struct net_lease_request *request, struct net_lease *ret)
{
	autobook struct lease_book book = {};
	autoclose int dir = open_dir();
	int r = dir == -ENOENT ? 0 : dir;

	if (dir >= 0)
		r = read_book(dir, &book);
	return r < 0 ? r : lease_pick(&book, request, time_realtime_us(), ret);
}

static int pick_and_write(int dir, struct lease_book *book, const struct net_lease_request *request,
			  struct net_lease *ret)
{
	const struct net_lease *kept = lease_book_find(book, request->machine);
	struct net_lease before = kept ? *kept : (struct net_lease){};
	int r = lease_pick(book, request, time_realtime_us(), ret);

	if (r < 0 || !book->is_changed)
		return r;
	r = write_book(dir, book);
	/* On a full disk the old file still has the lease, only with an older time of use. */
	return r < 0 && lease_is_same(&before, ret) ? 0 : r;
}

int net_lease_take(const struct net_lease_request *request, struct net_lease *ret)
{
	autobook struct lease_book book = {};
	autoclose int dir = -1, lock = -1;
	struct net_lease lease;
	int r;

	if (request->only_look)
		return look(request, ret);
	dir = open_or_make_dir();
	if (dir < 0)
		return dir;
	lock = lock_wait_at(dir, LOCK_NAME, false);
	if (lock < 0)
		return lock;
	r = read_book(dir, &book);
	if (r == 0)
		r = pick_and_write(dir, &book, request, &lease);
	if (r == 0)
		*ret = lease;
	return r;
}

int net_lease_forget(const char *machine)
{
	autobook struct lease_book book = {};
	autoclose int dir = open_dir(), lock = -1;
	struct net_lease *lease;
	int r;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	lock = lock_wait_at(dir, LOCK_NAME, false);
	if (lock < 0)
		return lock;
	r = read_book(dir, &book);
	if (r < 0)
		return r;
	lease = lease_book_find(&book, machine);
	if (!lease)
		return 0;
	lease_book_remove(&book, lease);
	return write_book(dir, &book);
}

bool net_lease_has(const struct net_lease *lease, const char *zone,
		   const struct net_address *address)
{
	const struct net_address *given[] = {&lease->host4, &lease->guest4, &lease->host6,
					     &lease->guest6};

	if (!zone || !streq(lease->zone, zone))
		return net_prefix_contains(&lease->subnet4, address) ||
		       net_prefix_contains(&lease->subnet6, address);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		if (net_address_equal(given[i], address))
			return true;
	return false;
}

int net_lease_list(struct net_lease **ret, size_t *ret_count)
{
	autobook struct lease_book book = {};
	autoclose int dir = open_dir();
	int r = dir == -ENOENT ? 0 : dir;

	if (dir >= 0)
		r = read_book(dir, &book);
	if (r < 0)
		return r;
	*ret = take_ptr(book.list);
	*ret_count = book.count;
	return 0;
}
