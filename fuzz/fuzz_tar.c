/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: A01, A07 */
/*
 * An archive, compressed or not, from bytes to files: decompression, the tar format and the
 * unpacker, in a fresh directory each time. Aborts when something appears beside the directory.
 * Slow, as it makes files: fuzz_entries.c reads headers alone.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "scratch.h"
#include "transfer/decode/decode.h"
#include "transfer/import/unpack.h"

#define UNPACKED_MAX (8 * 1024 * 1024)
#define UNPACKED_INODES_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

static void unpack_bytes(const uint8_t *data, size_t size, int root_fd)
{
	const struct unpack_options options = {
		.root_fd = root_fd,
		.quota = {.bytes_max = UNPACKED_MAX, .inodes_max = UNPACKED_INODES_MAX}};
	struct transfer_stats stats = {};
	struct failure failure = {};
	autoclose int fd = memory_file(data, size);
	struct decoder *decode = NULL;
	struct source source;
	int r = -1;

	if (source_open(&source, fd, NULL) < 0)
		return;
	if (decoder_start(&source, &failure, &decode) == 0)
		r = unpack_tree(decode, &options, &stats, &failure);
	decoder_free(decode);
	source_done(&source);
	if (r < 0 && failure.error >= 0)
		abort(); /* failed without a word */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int folder = scratch_folder("tar");
	autoclose int root = -1;

	if (mkdirat(folder, "root", 0755) < 0)
		abort();
	root = openat(folder, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unpack_bytes(data, size, root);
	if (fs_remove_tree_at(folder, "root") < 0 || !scratch_is_empty(folder))
		abort(); /* it escaped */
	return 0;
}
