/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chooses the decoder by the first bytes and runs it in a thread. Must never trust a file name's
 * suffix. Runs in the worker.
 */
#include "transfer/decode/decode.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "transfer/decode/decode_internal.h"
#include "transfer/decode/decode_xz_index.h"
#include "transfer/decode/decode_xz_jobs.h"

/* Size of a chunk: large enough that passing it between threads costs little. */
#define PIECE_SIZE ((size_t)512 * 1024)
/*
 * Size of the queue. Per processor, enough to decode a block of xz -6 (24 MiB, and its compressed
 * bytes) while the unpacker still reads the one before.
 */
#define BUDGET_PER_CPU ((size_t)48 * 1024 * 1024)
#define BUDGET_MIN (2 * BUDGET_PER_CPU)
#define BUDGET_MAX ((size_t)512 * 1024 * 1024)
/* Chunks of a serial format: few, so that they stay in the processor's cache. */
#define PIECES_IN_FLIGHT 8
#define MAGIC_MAX 6
/* The stack of a thread; and all chunks, buffers and the decoder of a serial format. */
#define STACK_MAX (UINT64_C(1) * 1024 * 1024)
#define SERIAL_MEMORY_MAX (UINT64_C(32) * 1024 * 1024)
/* Mostly the window, see decode_zstd.c. */
#define ZSTD_MEMORY_MAX (UINT64_C(160) * 1024 * 1024)

struct format {
	const char *name;
	uint8_t magic[MAGIC_MAX];
	size_t magic_size;
	int (*decode)(struct decode_stream *s); /* NULL: recognised, but not supported */
};

static const struct format formats[] = {
	{"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, decode_xz},
	{"gzip", {0x1f, 0x8b}, 2, decode_gzip},
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, decode_zstd},
	{"bzip2", {'B', 'Z', 'h'}, 3, decode_bzip2},
	{"zip", {'P', 'K', 3, 4}, 4, NULL},
	{"7z", {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}, 6, NULL},
	{"lz4", {0x04, 0x22, 0x4d, 0x18}, 4, NULL},
	{"lzip", {'L', 'Z', 'I', 'P'}, 4, NULL},
	{"lzop", {0x89, 'L', 'Z', 'O', 0}, 5, NULL},
	{"compress", {0x1f, 0x9d}, 2, NULL},
	{"qcow2", {'Q', 'F', 'I', 0xfb}, 4, NULL},
};
static const struct format format_plain = {.name = "", .decode = decode_plain};

struct decoder {
	struct decode_stream stream;
	const struct format *format;
	pthread_t thread;
	bool running;
};

/* Files of pzstd start with a skippable frame (RFC 8878, 3.1.2), which has 16 magic numbers. */
static bool is_zstd_skippable(const uint8_t *data, size_t size)
{
	return size >= 4 && (data[0] & 0xf0) == 0x50 && data[1] == 0x2a && data[2] == 0x4d &&
	       data[3] == 0x18;
}

static const struct format *format_find(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct format *f = &formats[i];

		if (size >= f->magic_size && memcmp(data, f->magic, f->magic_size) == 0)
			return f;
		if (f->decode == decode_zstd && is_zstd_skippable(data, size))
			return f;
	}
	return &format_plain;
}

static int decoder_find_format(struct decoder *d)
{
	struct failure *failure = d->stream.failure;
	const uint8_t *data;
	ssize_t size = source_peek(d->stream.source, MAGIC_MAX, &data);

	if (size < 0)
		return failure_errno(failure, (int)size, "read the archive");
	if (size == 0)
		return failure_set(failure, -ENODATA, "the archive is empty (0 bytes)");
	d->format = format_find(data, (size_t)size);
	if (d->format->decode)
		return 0;
	(void)failure_set(failure, -EPROTONOSUPPORT, "%s files can't be imported", d->format->name);
	return failure_hint(failure, "import a .tar, .tar.gz, .tar.xz, .tar.zst or .tar.bz2");
}

static void *decoder_run(void *userdata)
{
	struct decoder *d = userdata;
	int r = d->format->decode(&d->stream);

	decode_flush(&d->stream);
	queue_end(d->stream.queue, r);
	return NULL;
}

static size_t cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((size_t)CPU_COUNT(&set), (size_t)1);
}

static size_t queue_budget(size_t cpus)
{
	return MIN(MAX(cpus * BUDGET_PER_CPU, BUDGET_MIN), BUDGET_MAX);
}

int decoder_start(struct source *source, struct failure *failure, struct decoder **ret)
{
	autocall(decoder_freep) struct decoder *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return failure_errno(failure, -ENOMEM, "start decompression");
	d->stream =
		(struct decode_stream){.source = source, .failure = failure, .cpus = cpu_count()};
	d->stream.budget = queue_budget(d->stream.cpus);
	r = decoder_find_format(d);
	if (r < 0)
		return r;
	r = queue_new(d->stream.budget, &d->stream.queue);
	if (r < 0)
		return failure_errno(failure, r, "start decompression");
	r = -pthread_create(&d->thread, NULL, decoder_run, d);
	if (r < 0)
		return failure_errno(failure, r, "start a thread to decompress");
	d->running = true;
	*ret = take_ptr(d);
	return 0;
}

/*
 * The sum of: the queue, its spare buffers, and the chunk that an empty queue takes whatever its
 * size; the threads with their decoders; one more decoder for a block that is decoded serially; and
 * the index.
 */
static uint64_t xz_memory_max(const struct decode_stream *s)
{
	/* A block whose decoder takes more than half the budget is decoded serially. */
	uint64_t jobs = MIN(XZ_JOBS_MEMORY_MAX, s->cpus * (uint64_t)s->budget / 2);

	return 2 * (uint64_t)s->budget + jobs + s->cpus * STACK_MAX + XZ_DECODER_MEMORY_MAX +
	       XZ_INDEX_MEMORY_MAX;
}

uint64_t decoder_memory_max(const struct decoder *d)
{
	if (d->format->decode == decode_xz)
		return xz_memory_max(&d->stream);
	return SERIAL_MEMORY_MAX + (d->format->decode == decode_zstd ? ZSTD_MEMORY_MAX : 0);
}

ssize_t decoder_next(struct decoder *d, const void **ret)
{
	return queue_next(d->stream.queue, ret);
}

const char *decoder_format_name(const struct decoder *d)
{
	return d->format->name;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	if (d->running) {
		queue_cancel(d->stream.queue);
		(void)pthread_join(d->thread, NULL);
	}
	queue_free(d->stream.queue);
	free(d);
}

ssize_t decode_room(struct decode_stream *s, uint8_t **ret)
{
	if (!s->chunk) {
		size_t share = s->budget / PIECES_IN_FLIGHT;
		int r = queue_add(s->queue, PIECE_SIZE, share - PIECE_SIZE, &s->chunk);

		if (r == -ENOMEM)
			return decode_oom(s);
		if (r < 0)
			return r;
		s->used = 0;
	}
	*ret = s->chunk->data + s->used;
	return (ssize_t)(PIECE_SIZE - s->used);
}

void decode_commit(struct decode_stream *s, size_t size)
{
	s->used += size;
	if (s->used == PIECE_SIZE)
		decode_flush(s);
}

void decode_flush(struct decode_stream *s)
{
	if (!s->chunk)
		return;
	queue_publish(s->queue, s->chunk, s->used, true);
	s->chunk = NULL;
}

ssize_t decode_input(struct decode_stream *s, const uint8_t **ret)
{
	ssize_t n = source_fill(s->source, ret);

	if (n < 0)
		return failure_errno(s->failure, (int)n, "read the archive");
	return n;
}

int decode_truncated(struct decode_stream *s, const char *format)
{
	(void)failure_set(s->failure, -ENODATA,
			  "the %s stream ends too early: the file is truncated", format);
	return failure_hint(s->failure, "fetch or copy the file again and compare its checksum");
}

int decode_corrupt(struct decode_stream *s, const char *format, const char *detail)
{
	(void)failure_set(s->failure, -EBADMSG, "the %s stream is damaged: %s", format, detail);
	return failure_hint(s->failure, "fetch or copy the file again and compare its checksum");
}

int decode_oom(struct decode_stream *s)
{
	return failure_errno(s->failure, -ENOMEM, "decompress the archive");
}
