/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The images of this host, found where machinectl finds them: /etc/machines and /run/machines
 * (links, mostly), /var/lib/machines, /var/lib/container, /usr/local/lib/machines,
 * /usr/lib/machines. Of several with one name the first in that order counts. Entries with a
 * leading dot are hidden: locks and things half done. Quiet, except where a comment says that it
 * logs. Caller's side of clone().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define IMAGE_POOL "/var/lib/machines"

enum image_kind {
	IMAGE_DIRECTORY,
	IMAGE_SUBVOLUME, /* of btrfs */
	IMAGE_RAW,	 /* a disk in a file, NAME.raw */
};

struct image {
	char *name; /* without ".raw" */
	char *path; /* of the pool's entry on the host; the entry may be a link */
	enum image_kind kind;
	bool read_only;
	bool vendor;	      /* below /usr: never changed or removed by us */
	bool link;	      /* the entry is a symbolic link to the image */
	unsigned rank;	      /* of its pool in the order of looking */
	uint64_t dev, ino;    /* st_dev and st_ino of what was checked */
	uint64_t birth_ns;    /* as the file system has it, for usage.h; 0 when it does not */
	uint64_t created_us;  /* birth; 0 when the file system does not keep it */
	uint64_t modified_us; /* of the root directory, or of the disk's file */
	uint64_t usage_bytes; /* UINT64_MAX: not known; see usage.h */
	bool usage_exact;     /* false: measured at some time before (usage.h) */
};

void image_free(struct image *image);
DEFINE_POINTER_CLEANUP(struct image *, image_free)
#define autoimage autocall(image_freep)

struct image_list {
	struct image **items; /* sorted by name, each name once */
	size_t n;
};

void image_list_done(struct image_list *list);
#define autoimages autocall(image_list_done)

/* "directory", "subvolume", "raw" */
const char *image_kind_to_name(enum image_kind kind);

/* -ENOENT when there is none of that name, -EINVAL for a bad name, -EACCES without the right to
 * look. */
int image_find(const char *name, struct image **ret);
/*
 * Any directory (or NAME.raw) as an image, for `run -D`; also "/". `path` has links resolved,
 * `name` is its last component, which need not be valid as a machine's (see
 * machine_name_from_path()).
 */
int image_from_path(const char *path, struct image **ret);
/* All of them. Pools that do not exist are empty; one that can't be read is the error. */
int image_find_all(struct image_list *ret);

/* image_find() that logs, once, with the nearest name as a hint. */
int image_require(const char *name, struct image **ret);

/*
 * Opens the root directory (or the disk file, for reading): the very inode that was checked, else
 * -ESTALE (P13). Hold this descriptor from here on and never resolve the path again. Or -errno.
 */
int image_open(const struct image *image);

/* A pool other than the usual ones, for tests and for `vendor`. */
struct image_pool {
	const char *path;
	bool vendor;
};
int image_find_in(const struct image_pool *pools, size_t n_pools, const char *name,
		  struct image **ret);
int image_find_all_in(const struct image_pool *pools, size_t n_pools, struct image_list *ret);
