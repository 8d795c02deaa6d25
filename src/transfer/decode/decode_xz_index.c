/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the index of an xz file from the end of the file. Must never trust it: it is only a hint.
 * Runs in a thread of the worker.
 */
#include "transfer/decode/decode_xz_index.h"

#include <errno.h>
#include <stdbool.h>

#include "lib/cleanup.h"
#include "lib/macro.h"

#define READ_SIZE 8192

static void lzma_end_cleanup(lzma_stream *strm)
{
	lzma_end(strm);
}

static int index_error(lzma_ret r)
{
	if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return -EBADMSG;
}

int xz_index_read(xz_read_at_fn read_at, void *userdata, uint64_t size, lzma_index **ret)
{
	autocall(lzma_end_cleanup) lzma_stream strm = LZMA_STREAM_INIT;
	lzma_index *index = NULL;
	uint8_t buffer[READ_SIZE];
	uint64_t at = 0;
	lzma_ret r = lzma_file_info_decoder(&strm, &index, XZ_INDEX_MEMORY_MAX, size);

	while (r == LZMA_OK) {
		if (strm.avail_in == 0) {
			int64_t n = at < size ? read_at(userdata, buffer,
							MIN(sizeof(buffer), size - at), at)
					      : 0;

			if (n <= 0)
				return n < 0 ? (int)n : -EBADMSG;
			strm.next_in = buffer;
			strm.avail_in = (size_t)n;
			at += (uint64_t)n;
		}
		r = lzma_code(&strm, LZMA_RUN);
		if (r == LZMA_SEEK_NEEDED) {
			at = strm.seek_pos;
			strm.avail_in = 0;
			r = LZMA_OK;
		}
	}
	if (r != LZMA_STREAM_END)
		return index_error(r);
	*ret = index;
	return 0;
}
