// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Encodes xz blocks with their sizes in the headers, and the stream around them. The result is like
 * that of liblzma's threaded encoder, but blocks are filled in place and cut at the same offsets on
 * every host. Runs in threads of the packing process.
 */
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>

#include "lib/macro.h"
#include "transfer/pack/encode_internal.h"

#define LEVEL_DEFAULT 6
#define LEVEL_MAX 9
#define BLOCK_SIZE_MIN ((size_t)2 << 20)
/* The same as pixz. CRC32 is enough: a store path can also be checked by its hash. */
#define CHECK LZMA_CHECK_CRC32
/* Bytes compressed between two checks of `cancelled`. */
#define STEP_SIZE ((size_t)256 << 10)

static int error_of(lzma_ret r)
{
	return r == LZMA_MEM_ERROR ? -ENOMEM : -EIO;
}

static size_t xz_block_size(uint32_t level)
{
	lzma_options_lzma options;

	if (lzma_lzma_preset(&options, level))
		return BLOCK_SIZE_MIN;
	/*
	 * Twice the dictionary: smaller blocks compress worse, larger ones keep fewer cores busy.
	 */
	return MAX(BLOCK_SIZE_MIN, (size_t)options.dict_size * 2);
}

static uint64_t xz_memory(uint32_t level)
{
	return lzma_easy_encoder_memusage(level);
}

static size_t xz_bound(size_t size)
{
	return lzma_block_buffer_bound(size);
}

/* Compresses the input in steps. -ENOSPC if the output is larger than its room. */
static int run_encoder(lzma_stream *strm, struct encode_block *block, const atomic_bool *cancelled)
{
	size_t fed = 0;

	for (;;) {
		size_t step = MIN(STEP_SIZE, block->in_size - fed);
		bool last = fed + step == block->in_size;
		lzma_ret r;

		strm->next_in = block->in + fed;
		strm->avail_in = step;
		do
			r = lzma_code(strm, last ? LZMA_FINISH : LZMA_RUN);
		while (r == LZMA_OK && strm->avail_out > 0 && (last || strm->avail_in > 0));
		fed += step;
		if (r == LZMA_STREAM_END)
			return 0;
		if (r == LZMA_BUF_ERROR || (r == LZMA_OK && strm->avail_out == 0))
			return -ENOSPC;
		if (r != LZMA_OK)
			return error_of(r);
		if (atomic_load_explicit(cancelled, memory_order_relaxed))
			return -ECANCELED;
	}
}

/* Reserves space for the header, which is written last because it holds the sizes. */
static int encode_block(lzma_stream *strm, lzma_block *info, struct encode_block *block,
			const atomic_bool *cancelled)
{
	lzma_ret lr;
	int r;

	info->compressed_size = xz_bound(block->in_size);
	info->uncompressed_size = block->in_size;
	lr = lzma_block_header_size(info);
	if (lr == LZMA_OK)
		lr = lzma_block_encoder(strm, info);
	if (lr != LZMA_OK)
		return error_of(lr);
	strm->next_out = block->out + info->header_size;
	strm->avail_out = block->out_capacity - info->header_size;
	r = run_encoder(strm, block, cancelled);
	block->out_size = block->out_capacity - strm->avail_out;
	if (r < 0)
		return r;
	/* The header's length stays the same with the real sizes. */
	lr = lzma_block_header_encode(info, block->out);
	return lr == LZMA_OK ? 0 : error_of(lr);
}

/* Stores a block without compression, because compressing would make it larger. */
static int store_block(lzma_block *info, struct encode_block *block)
{
	lzma_ret lr;

	block->out_size = 0;
	lr = lzma_block_uncomp_encode(info, block->in, block->in_size, block->out, &block->out_size,
				      block->out_capacity);
	return lr == LZMA_OK ? 0 : error_of(lr);
}

/* Keeps the encoder for the next block: at level 6 it allocates 94 MiB. */
static lzma_stream *get_stream(void **state)
{
	static const lzma_stream fresh = LZMA_STREAM_INIT;
	lzma_stream *strm = *state;

	if (!strm) {
		strm = malloc(sizeof(*strm));
		if (strm)
			*strm = fresh;
		*state = strm;
	}
	return strm;
}

static void xz_forget(void *state)
{
	lzma_end(state);
	free(state);
}

static int xz_encode(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
		     void **state)
{
	lzma_stream *strm = get_stream(state);
	lzma_options_lzma options;
	lzma_filter filters[] = {{.id = LZMA_FILTER_LZMA2, .options = &options},
				 {.id = LZMA_VLI_UNKNOWN}};
	lzma_block info = {.check = CHECK, .filters = filters};
	int r;

	if (!strm)
		return -ENOMEM;
	if (lzma_lzma_preset(&options, level))
		return -EINVAL;
	r = encode_block(strm, &info, block, cancelled);
	if (r == -ENOSPC)
		r = store_block(&info, block);
	block->record[0] = lzma_block_unpadded_size(&info);
	block->record[1] = info.uncompressed_size;
	return r;
}

static int xz_begin(struct encode_sink *sink)
{
	lzma_stream_flags flags = {.check = CHECK};
	uint8_t header[LZMA_STREAM_HEADER_SIZE];

	sink->state = lzma_index_init(NULL);
	if (!sink->state)
		return -ENOMEM;
	if (lzma_stream_header_encode(&flags, header) != LZMA_OK)
		return -EIO;
	return encode_sink_write(sink, header, sizeof(header));
}

static int xz_add(struct encode_sink *sink, const struct encode_block *block)
{
	lzma_ret lr = lzma_index_append(sink->state, NULL, block->record[0], block->record[1]);

	return lr == LZMA_OK ? encode_sink_write(sink, block->out, block->out_size) : error_of(lr);
}

static int write_end(struct encode_sink *sink, lzma_index *index)
{
	lzma_stream_flags flags = {.check = CHECK, .backward_size = lzma_index_size(index)};
	size_t size = (size_t)flags.backward_size, used = 0;
	autofree uint8_t *data = malloc(size + LZMA_STREAM_HEADER_SIZE);

	if (!data)
		return -ENOMEM;
	if (lzma_index_buffer_encode(index, data, &used, size) != LZMA_OK ||
	    lzma_stream_footer_encode(&flags, data + used) != LZMA_OK)
		return -EIO;
	return encode_sink_write(sink, data, used + LZMA_STREAM_HEADER_SIZE);
}

static int xz_end(struct encode_sink *sink)
{
	lzma_index *index = sink->state;
	int r = sink->failed ? 0 : write_end(sink, index);

	lzma_index_end(index, NULL);
	sink->state = NULL;
	return r;
}

const struct codec codec_xz = {
	.name = "xz",
	.level_default = LEVEL_DEFAULT,
	.level_max = LEVEL_MAX,
	.block_size = xz_block_size,
	.memory = xz_memory,
	.bound = xz_bound,
	.encode = xz_encode,
	.forget = xz_forget,
	.begin = xz_begin,
	.add = xz_add,
	.end = xz_end,
};
