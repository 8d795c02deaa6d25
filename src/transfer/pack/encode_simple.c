// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Formats whose blocks simply follow one another: zstd frames, gzip members, and no compression.
 * Runs in threads of the packing process.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "transfer/pack/encode_internal.h"
#include "transfer/stats.h"

#define STEP_SIZE ((size_t)256 << 10)
#define ZSTD_BLOCK_SIZE ((size_t)16 << 20)
#define ZSTD_LEVEL_MAX 19   /* higher levels need a window that readers refuse */
#define ZSTD_LEVEL_LARGE 10 /* from this level on the tables are large */
#define GZIP_BLOCK_SIZE ((size_t)4 << 20)
#define GZIP_WINDOW_BITS (15 + 16)
#define GZIP_MEMORY ((uint64_t)1 << 20)
#define GZIP_HEADER_MAX 32
#define PLAIN_BLOCK_SIZE ((size_t)1 << 20)

int encode_sink_write(struct encode_sink *sink, const void *data, size_t size)
{
	int r = io_write_all(sink->fd, data, size);

	if (r == 0 && sink->bytes)
		stats_add(sink->bytes, size);
	return r;
}

static int simple_add(struct encode_sink *sink, const struct encode_block *block)
{
	return encode_sink_write(sink, block->out, block->out_size);
}

static size_t zstd_block_size(uint32_t level)
{
	return ZSTD_BLOCK_SIZE;
}

static uint64_t zstd_memory(uint32_t level)
{
	return (uint64_t)(level < ZSTD_LEVEL_LARGE ? 16 : 128) << 20;
}

static int zstd_steps(ZSTD_CCtx *context, struct encode_block *block, const atomic_bool *cancelled)
{
	ZSTD_outBuffer out = {.dst = block->out, .size = block->out_capacity};
	ZSTD_inBuffer in = {.src = block->in};
	size_t left;

	do {
		in.size = MIN(in.size + STEP_SIZE, block->in_size);
		left = ZSTD_compressStream2(context, &out, &in,
					    in.size == block->in_size ? ZSTD_e_end
								      : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return -EIO;
		if (atomic_load_explicit(cancelled, memory_order_relaxed))
			return -ECANCELED;
	} while (in.pos < block->in_size || left > 0);
	block->out_size = out.pos;
	return 0;
}

static void zstd_forget(void *state)
{
	(void)ZSTD_freeCCtx(state);
}

static int zstd_encode(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
		       void **state)
{
	ZSTD_CCtx *context = *state ? *state : ZSTD_createCCtx();

	*state = context;
	if (!context)
		return -ENOMEM;
	(void)ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
	(void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, (int)level);
	(void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	(void)ZSTD_CCtx_setPledgedSrcSize(context, block->in_size);
	return zstd_steps(context, block, cancelled);
}

static size_t gzip_block_size(uint32_t level)
{
	return GZIP_BLOCK_SIZE;
}

static uint64_t gzip_memory(uint32_t level)
{
	return GZIP_MEMORY;
}

static size_t gzip_bound(size_t size)
{
	return compressBound(size) + GZIP_HEADER_MAX;
}

/* Ignores `cancelled`: blocks are so small that the wait is short. */
static int gzip_encode(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
		       void **state)
{
	z_stream z = {};
	int r;

	if (deflateInit2(&z, (int)level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	z.next_in = block->in;
	z.avail_in = (uInt)block->in_size;
	z.next_out = block->out;
	z.avail_out = (uInt)block->out_capacity;
	r = deflate(&z, Z_FINISH);
	block->out_size = z.total_out;
	(void)deflateEnd(&z);
	return r == Z_STREAM_END ? 0 : -EIO;
}

static size_t plain_block_size(uint32_t level)
{
	return PLAIN_BLOCK_SIZE;
}

static uint64_t plain_memory(uint32_t level)
{
	return 0;
}

static size_t plain_bound(size_t size)
{
	return 0;
}

static int plain_encode(struct encode_block *block, uint32_t level, const atomic_bool *cancelled,
			void **state)
{
	return 0;
}

static int plain_add(struct encode_sink *sink, const struct encode_block *block)
{
	return encode_sink_write(sink, block->in, block->in_size);
}

const struct codec codec_zstd = {
	.name = "zstd",
	.level_default = 3,
	.level_max = ZSTD_LEVEL_MAX,
	.block_size = zstd_block_size,
	.memory = zstd_memory,
	.bound = ZSTD_compressBound,
	.encode = zstd_encode,
	.forget = zstd_forget,
	.add = simple_add,
};

const struct codec codec_gzip = {
	.name = "gzip",
	.level_default = 6,
	.level_max = 9,
	.block_size = gzip_block_size,
	.memory = gzip_memory,
	.bound = gzip_bound,
	.encode = gzip_encode,
	.add = simple_add,
};

const struct codec codec_none = {
	.name = "none",
	.block_size = plain_block_size,
	.memory = plain_memory,
	.bound = plain_bound,
	.encode = plain_encode,
	.add = plain_add,
};
