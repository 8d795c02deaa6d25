/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Imports images from archives. Loud: each failure is logged once, with a hint where there is one.
 *
 * An import appears under its name complete or not at all: it is unpacked into a hidden folder of
 * the pool (".#import-NAME.XXXX", mode 0700, locked by the importer), synced, then renamed. If an
 * importer is killed, the next command removes its folder with transfer_clean_leftovers().
 *
 * The archive may be hostile, so a forked worker decompresses and unpacks it. The worker can write
 * only beneath the hidden folder.
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
	const char *name;   /* NULL: derived from the file name, see machine_name_from_path() */
	const char *pool;   /* NULL: TRANSFER_POOL_DEFAULT; created (0700) if missing */
	bool force;	    /* replace an image of that name */
	bool read_only;	    /* mark the image as `machinectl read-only` does */
	bool quiet;	    /* no progress and no summary */
	enum transfer_output output;
	/*
	 * The most bytes on disk that the archive may unpack to. UINT64_MAX: no limit but the disk;
	 * 0: what the pool's file system can spare.
	 */
	uint64_t max_bytes;
};

/*
 * 0, or -errno after the failure was logged: -EINVAL for a bad name, -ECANCELED after SIGINT or
 * SIGTERM, …
 */
int transfer_import_tar(const struct import_request *request);

/*
 * Removes the folders that killed importers left in the pool, and leaves running imports alone.
 * Quiet. Returns the number of folders removed, or -errno of the first failure: -ETIME if
 * `budget_us` microseconds (UINT64_MAX: no limit) were not enough; the next command then continues.
 */
int transfer_clean_leftovers(int pool_fd, uint64_t budget_us);
