/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Imports of whole systems. Loud: what fails is logged once, here, with the next step.
 *
 * An import appears under its name complete or not at all: it is unpacked into a hidden folder of
 * the pool (".#import-NAME.XXXX", mode 0700, locked by the importer), synced, then renamed. What a
 * killed importer left is removed by the next command through transfer_clean_leftovers().
 *
 * The archive is hostile: it is decompressed and unpacked by a forked worker that may write
 * nowhere but beneath the hidden folder.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TRANSFER_POOL_DEFAULT "/var/lib/machines"

enum transfer_output {
	TRANSFER_OUTPUT_TEXT,
	TRANSFER_OUTPUT_JSON, /* one JSON object per line on stdout: progress, then the result */
};

struct import_request {
	const char *source; /* a file, or "-" for the standard input */
	const char *name;   /* NULL: from the file's name, see machine_name_from_path() */
	const char *pool;   /* NULL: TRANSFER_POOL_DEFAULT; made (0700) when missing */
	bool force;	    /* replace an image of that name */
	bool read_only;	    /* mark the image as `machinectl read-only` does */
	bool quiet;	    /* no progress and no summary */
	enum transfer_output output;
	/*
	 * Refuse an archive that unpacks to more bytes on disk; UINT64_MAX: no limit but the disk;
	 * 0: what the pool's file system can spare.
	 */
	uint64_t max_bytes;
};

/* 0, or -errno after it was logged; -EINVAL for a bad name, -ECANCELED after SIGINT or SIGTERM. */
int transfer_import_tar(const struct import_request *request);

/*
 * Removes what dead importers left in the pool. Imports that run now are left alone. Quiet but for
 * a debug line. The number removed, or -errno of the first failure: -ETIME when `budget_us`
 * (UINT64_MAX: no limit) was not enough, and the next command goes on.
 */
int transfer_clean_leftovers(int pool_fd, uint64_t budget_us);
