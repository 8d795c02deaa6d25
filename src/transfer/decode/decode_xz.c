/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decodes xz. Reads the container itself (The .xz File Format 1.1.0), and gives a block to another
 * thread if the sizes of the block are known: from its header (pixz -t and xz -T0 write them), or
 * from the index at the end of a regular file. Other blocks are decoded here, one by one. Index and
 * footer are checked as the format demands; several streams and padding may follow one another.
 *
 * Memory: a block is decoded in parallel when its data, compressed and not, and its dictionary take
 * no more than half the queue's budget, and all dictionaries no more than XZ_JOBS_MEMORY_MAX. Runs
 * in a thread of the worker.
 */
#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "transfer/decode/decode_internal.h"
#include "transfer/decode/decode_xz_index.h"
#include "transfer/decode/decode_xz_jobs.h"

struct xz {
	struct decode_stream *stream;
	struct xz_jobs *jobs; /* NULL until the first block that can use it */
	lzma_stream_flags flags;
	lzma_index_hash *hash; /* of the current stream */
	lzma_index *index;     /* of the whole file; NULL if not needed or not found */
	lzma_index_iter iter;
	bool index_tried;
	uint64_t blocks; /* block headers read so far */
	uint64_t iter_blocks;
};

static int xz_read(struct xz *x, void *data, size_t size)
{
	int r = source_read_exactly(x->stream->source, data, size);

	if (r == -ENODATA)
		return decode_truncated(x->stream, "xz");
	if (r < 0)
		return failure_errno(x->stream->failure, r, "read the archive");
	return 0;
}

static int64_t xz_pread(void *userdata, void *data, size_t size, uint64_t offset)
{
	const struct source *s = userdata;
	ssize_t n;

	do
		n = pread(s->fd, data, size, (off_t)(s->start + offset));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Takes the sizes of the current block from the index, if there is one. */
static void xz_sizes_from_index(struct xz *x, lzma_block *block)
{
	struct source *s = x->stream->source;

	if (!x->index_tried) {
		x->index_tried = true;
		if (s->seekable && xz_index_read(xz_pread, s, s->end - s->start, &x->index) == 0)
			lzma_index_iter_init(&x->iter, x->index);
	}
	if (!x->index)
		return;
	while (x->iter_blocks < x->blocks) {
		if (lzma_index_iter_next(&x->iter, LZMA_INDEX_ITER_BLOCK))
			return;
		x->iter_blocks++;
	}
	if (lzma_block_compressed_size(block, x->iter.block.unpadded_size) != LZMA_OK)
		return;
	block->uncompressed_size = x->iter.block.uncompressed_size;
}

static bool xz_sizes_known(const lzma_block *block)
{
	return block->compressed_size != LZMA_VLI_UNKNOWN &&
	       block->uncompressed_size != LZMA_VLI_UNKNOWN;
}

/*
 * The bytes of input that decoding the block in parallel keeps in memory; 0 if the block takes too
 * much memory for that. The decoder is not counted: it belongs to the thread, and is not held until
 * the unpacker has read the block.
 */
static size_t xz_job_extra(const struct xz *x, const lzma_block *block, uint64_t decoder_memory)
{
	uint64_t limit = x->stream->budget / 2;
	uint64_t in = lzma_block_total_size(block);

	if (!xz_sizes_known(block) || in == 0 || in > limit || block->uncompressed_size > limit ||
	    in + block->uncompressed_size + decoder_memory > limit)
		return 0;
	if (x->jobs && !xz_jobs_fit(x->jobs, decoder_memory))
		return 0;
	return (size_t)in;
}

static int xz_block_parallel(struct xz *x, const lzma_block *block, size_t extra, uint64_t memory)
{
	struct decode_stream *s = x->stream;
	size_t in_size = (size_t)lzma_block_total_size(block) - block->header_size;
	struct xz_job *job;
	int r;

	if (!x->jobs) {
		r = xz_jobs_start(s, memory, &x->jobs);
		if (r < 0)
			return r;
	}
	decode_flush(s);
	job = xz_job_new(in_size);
	if (!job)
		return decode_oom(s);
	job->block = *block;
	job->out_size = (size_t)block->uncompressed_size;
	r = xz_read(x, job->in, in_size);
	if (r == 0) {
		r = queue_add(s->queue, (size_t)block->uncompressed_size, extra, &job->chunk);
		if (r == -ENOMEM)
			r = decode_oom(s);
	}
	if (r < 0) {
		xz_job_free(job);
		return r;
	}
	memcpy(job->filters, block->filters, sizeof(job->filters));
	block->filters[0].id = LZMA_VLI_UNKNOWN;
	xz_jobs_submit(x->jobs, job);
	return 0;
}

static void lzma_end_cleanup(lzma_stream *strm)
{
	lzma_end(strm);
}

/* Decodes a block whose size is not known in advance, or that is too large to be held in memory. */
static int xz_block_serial(struct xz *x, lzma_block *block)
{
	autocall(lzma_end_cleanup) lzma_stream strm = LZMA_STREAM_INIT;
	struct decode_stream *s = x->stream;
	lzma_ret r = lzma_block_decoder(&strm, block);

	while (r == LZMA_OK) {
		const uint8_t *data;
		uint8_t *room;
		ssize_t n = decode_input(s, &data);
		ssize_t size = n < 0 ? n : decode_room(s, &room);

		if (size < 0)
			return (int)size;
		strm.next_in = data;
		strm.avail_in = (size_t)n;
		strm.next_out = room;
		strm.avail_out = (size_t)size;
		r = lzma_code(&strm, n == 0 ? LZMA_FINISH : LZMA_RUN);
		source_consume(s->source, (size_t)n - strm.avail_in);
		decode_commit(s, (size_t)size - strm.avail_out);
	}
	return r == LZMA_STREAM_END ? 0 : xz_failed(s, r);
}

static int xz_block_read_header(struct xz *x, uint8_t first, lzma_block *block)
{
	uint8_t header[LZMA_BLOCK_HEADER_SIZE_MAX] = {first};
	lzma_ret lr;
	int r;

	block->version = 1;
	block->check = x->flags.check;
	block->header_size = lzma_block_header_size_decode(first);
	r = xz_read(x, header + 1, block->header_size - 1);
	if (r < 0)
		return r;
	lr = lzma_block_header_decode(block, NULL, header);
	if (lr != LZMA_OK)
		return xz_failed(x->stream, lr);
	x->blocks++;
	if (!xz_sizes_known(block))
		xz_sizes_from_index(x, block);
	return 0;
}

static int xz_block_decode(struct xz *x, lzma_block *block)
{
	uint64_t memory = lzma_raw_decoder_memusage(block->filters);
	lzma_ret lr;
	size_t extra;
	int r;

	if (memory == UINT64_MAX)
		return xz_failed(x->stream, LZMA_OPTIONS_ERROR);
	if (memory > XZ_DECODER_MEMORY_MAX)
		return failure_set(x->stream->failure, -EFBIG,
				   "the xz stream needs %llu MiB of memory, more than is allowed",
				   (unsigned long long)(memory >> 20));
	extra = xz_job_extra(x, block, memory);
	r = extra > 0 ? xz_block_parallel(x, block, extra, memory) : xz_block_serial(x, block);
	if (r < 0)
		return r;
	lr = lzma_index_hash_append(x->hash, lzma_block_unpadded_size(block),
				    block->uncompressed_size);
	return lr == LZMA_OK ? 0 : xz_failed(x->stream, lr);
}

static int xz_block(struct xz *x, uint8_t first)
{
	lzma_filter filters[LZMA_FILTERS_MAX + 1] = {{.id = LZMA_VLI_UNKNOWN}};
	lzma_block block = {.filters = filters};
	int r = xz_block_read_header(x, first, &block);

	if (r == 0)
		r = xz_block_decode(x, &block);
	xz_filters_free(filters);
	return r;
}

/*
 * Checks that the index matches the blocks of the stream. Its first byte (0) has been read already.
 */
static int xz_check_index(struct xz *x)
{
	static const uint8_t indicator = 0;
	size_t at = 0;
	lzma_ret r = lzma_index_hash_decode(x->hash, &indicator, &at, 1);

	while (r == LZMA_OK) {
		const uint8_t *data;
		ssize_t n = decode_input(x->stream, &data);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return decode_truncated(x->stream, "xz");
		at = 0;
		r = lzma_index_hash_decode(x->hash, data, &at, (size_t)n);
		source_consume(x->stream->source, at);
	}
	return r == LZMA_STREAM_END ? 0 : xz_failed(x->stream, r);
}

static int xz_check_footer(struct xz *x)
{
	uint8_t footer[LZMA_STREAM_HEADER_SIZE];
	lzma_stream_flags flags;
	lzma_ret lr;
	int r = xz_read(x, footer, sizeof(footer));

	if (r < 0)
		return r;
	lr = lzma_stream_footer_decode(&flags, footer);
	if (lr == LZMA_OK)
		lr = lzma_stream_flags_compare(&x->flags, &flags);
	if (lr != LZMA_OK || flags.backward_size != lzma_index_hash_size(x->hash))
		return xz_failed(x->stream, LZMA_DATA_ERROR);
	return 0;
}

static int xz_stream(struct xz *x)
{
	uint8_t header[LZMA_STREAM_HEADER_SIZE];
	lzma_index_hash *hash;
	uint8_t first;
	lzma_ret lr;
	int r = xz_read(x, header, sizeof(header));

	if (r < 0)
		return r;
	lr = lzma_stream_header_decode(&x->flags, header);
	if (lr != LZMA_OK)
		return xz_failed(x->stream, lr);
	if (!lzma_check_is_supported(x->flags.check))
		return decode_corrupt(x->stream, "xz", "its kind of checksum is not supported");
	hash = lzma_index_hash_init(x->hash, NULL);
	if (!hash)
		return decode_oom(x->stream);
	x->hash = hash;
	while ((r = xz_read(x, &first, 1)) == 0 && first != 0) {
		r = xz_block(x, first);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = xz_check_index(x);
	return r < 0 ? r : xz_check_footer(x);
}

/*
 * Reads stream padding: zero bytes, a multiple of four. 1 if another stream follows, 0 at the end.
 */
static int xz_padding(struct xz *x)
{
	uint64_t zeros = 0;

	for (;;) {
		const uint8_t *data;
		ssize_t n = decode_input(x->stream, &data);
		size_t i = 0;

		if (n < 0)
			return (int)n;
		while (i < (size_t)n && data[i] == 0)
			i++;
		zeros += i;
		source_consume(x->stream->source, i);
		if (i < (size_t)n || n == 0) {
			if (zeros % 4 != 0)
				return xz_failed(x->stream, LZMA_DATA_ERROR);
			return n > 0;
		}
	}
}

int decode_xz(struct decode_stream *s)
{
	struct xz x = {.stream = s};
	int r;

	do {
		r = xz_stream(&x);
		if (r == 0)
			r = xz_padding(&x);
	} while (r > 0);
	if (x.jobs) {
		int jobs = xz_jobs_finish(x.jobs);

		r = r == 0 ? jobs : r;
	}
	lzma_index_hash_end(x.hash, NULL);
	lzma_index_end(x.index, NULL);
	return r;
}
