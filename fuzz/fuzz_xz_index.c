/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The index at the end of an xz file, which is a hint and may say anything. */
#include <stdint.h>
#include <string.h>

#include "lib/macro.h"
#include "transfer/decode/decode_xz_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
};

static int64_t read_at(void *userdata, void *to, size_t size, uint64_t offset)
{
	const struct bytes *b = userdata;
	size_t n = offset < b->size ? MIN(size, b->size - (size_t)offset) : 0;

	memcpy(to, b->data + (n ? offset : 0), n);
	return (int64_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {data, size};
	lzma_index *index = NULL;
	lzma_index_iter iter;

	if (xz_index_read(read_at, &b, size, &index) < 0)
		return 0;
	lzma_index_iter_init(&iter, index);
	for (unsigned i = 0; i < 1000 && !lzma_index_iter_next(&iter, LZMA_INDEX_ITER_BLOCK); i++)
		continue;
	lzma_index_end(index, NULL);
	return 0;
}
