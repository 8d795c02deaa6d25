/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chooses the decompression by the first bytes and runs it in a thread. Must never trust a suffix.
 * Runs in the worker.
 */
#include "transfer/import/decode.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "transfer/import/decode_internal.h"
#include "transfer/import/decode_xz_index.h"
#include "transfer/import/decode_xz_jobs.h"

/* Large enough that handing it over costs little. */
#define PIECE_SIZE ((size_t)512 * 1024)
/*
 * Bytes in flight: so much for each processor, that each can decode a block of xz -6 (24 MiB, and
 * its compressed bytes) while the unpacker still reads another.
 */
#define BUDGET_PER_CPU ((size_t)48 * 1024 * 1024)
#define BUDGET_MIN (2 * BUDGET_PER_CPU)
#define BUDGET_MAX ((size_t)512 * 1024 * 1024)
/* Of the serial formats: few, so that they stay in the processor's cache. */
#define PIECES_IN_FLIGHT 8
#define MAGIC_MAX 6
/* A thread's, at most, and what the serial formats take: pieces, buffers, a decoder. */
#define STACK_MAX (UINT64_C(1) * 1024 * 1024)
#define SERIAL_MEMORY_MAX (UINT64_C(32) * 1024 * 1024)
/* The window, see zstd.c. */
#define ZSTD_MEMORY_MAX (UINT64_C(160) * 1024 * 1024)

struct format {
	const char *name;
	uint8_t magic[MAGIC_MAX];
	size_t magic_size;
	int (*pump)(struct pump *p); /* NULL: recognised in order to say that it can't be read */
};

static const struct format formats[] = {
	{"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, pump_xz},
	{"gzip", {0x1f, 0x8b}, 2, pump_gzip},
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, pump_zstd},
	{"bzip2", {'B', 'Z', 'h'}, 3, pump_bzip2},
	{"zip", {'P', 'K', 3, 4}, 4, NULL},
	{"7z", {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}, 6, NULL},
	{"lz4", {0x04, 0x22, 0x4d, 0x18}, 4, NULL},
	{"lzip", {'L', 'Z', 'I', 'P'}, 4, NULL},
	{"lzop", {0x89, 'L', 'Z', 'O', 0}, 5, NULL},
	{"compress", {0x1f, 0x9d}, 2, NULL},
	{"qcow2", {'Q', 'F', 'I', 0xfb}, 4, NULL},
};
static const struct format format_plain = {.name = "", .pump = pump_plain};

struct decode {
	struct pump pump;
	const struct format *format;
	pthread_t thread;
	bool running;
};

/* Skippable frames (RFC 8878, 3.1.2) open the files of pzstd: 16 magic numbers. */
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
		if (f->pump == pump_zstd && is_zstd_skippable(data, size))
			return f;
	}
	return &format_plain;
}

static int decode_find_format(struct decode *d)
{
	struct failure *failure = d->pump.failure;
	const uint8_t *data;
	ssize_t size = source_peek(d->pump.source, MAGIC_MAX, &data);

	if (size < 0)
		return failure_errno(failure, (int)size, "read the archive");
	if (size == 0)
		return failure_set(failure, -ENODATA, "the archive is empty (0 bytes)");
	d->format = format_find(data, (size_t)size);
	if (d->format->pump)
		return 0;
	(void)failure_set(failure, -EPROTONOSUPPORT, "%s files can't be imported", d->format->name);
	return failure_hint(failure, "import a .tar, .tar.gz, .tar.xz, .tar.zst or .tar.bz2");
}

static void *decode_run(void *userdata)
{
	struct decode *d = userdata;
	int r = d->format->pump(&d->pump);

	pump_flush(&d->pump);
	queue_end(d->pump.queue, r);
	return NULL;
}

static size_t decode_cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((size_t)CPU_COUNT(&set), (size_t)1);
}

static size_t decode_budget(size_t cpus)
{
	return MIN(MAX(cpus * BUDGET_PER_CPU, BUDGET_MIN), BUDGET_MAX);
}

int decode_start(struct source *source, struct failure *failure, struct decode **ret)
{
	autocall(decode_freep) struct decode *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return failure_errno(failure, -ENOMEM, "start decompression");
	d->pump = (struct pump){.source = source, .failure = failure, .cpus = decode_cpu_count()};
	d->pump.budget = decode_budget(d->pump.cpus);
	r = decode_find_format(d);
	if (r < 0)
		return r;
	r = queue_new(d->pump.budget, &d->pump.queue);
	if (r < 0)
		return failure_errno(failure, r, "start decompression");
	r = -pthread_create(&d->thread, NULL, decode_run, d);
	if (r < 0)
		return failure_errno(failure, r, "start a thread to decompress");
	d->running = true;
	*ret = take_ptr(d);
	return 0;
}

/*
 * Of xz: the queue, its spare buffers and the piece that is let in when the queue is empty; the
 * threads with their decoders, and one decoder beside them for a block that doesn't fit; the index.
 */
static uint64_t xz_memory_max(const struct pump *p)
{
	/* A decoder that takes more than half the budget runs beside the threads. */
	uint64_t jobs = MIN(XZ_JOBS_MEMORY_MAX, p->cpus * (uint64_t)p->budget / 2);

	return 2 * (uint64_t)p->budget + jobs + p->cpus * STACK_MAX + XZ_DECODER_MEMORY_MAX +
	       XZ_INDEX_MEMORY_MAX;
}

uint64_t decode_memory_max(const struct decode *d)
{
	if (d->format->pump == pump_xz)
		return xz_memory_max(&d->pump);
	return SERIAL_MEMORY_MAX + (d->format->pump == pump_zstd ? ZSTD_MEMORY_MAX : 0);
}

ssize_t decode_next(struct decode *d, const void **ret)
{
	return queue_next(d->pump.queue, ret);
}

const char *decode_format_name(const struct decode *d)
{
	return d->format->name;
}

void decode_free(struct decode *d)
{
	if (!d)
		return;
	if (d->running) {
		queue_cancel(d->pump.queue);
		(void)pthread_join(d->thread, NULL);
	}
	queue_free(d->pump.queue);
	free(d);
}

ssize_t pump_space(struct pump *p, uint8_t **ret)
{
	if (!p->chunk) {
		size_t share = p->budget / PIECES_IN_FLIGHT;
		int r = queue_add(p->queue, PIECE_SIZE, share - PIECE_SIZE, &p->chunk);

		if (r == -ENOMEM)
			return pump_oom(p);
		if (r < 0)
			return r;
		p->used = 0;
	}
	*ret = p->chunk->data + p->used;
	return (ssize_t)(PIECE_SIZE - p->used);
}

void pump_commit(struct pump *p, size_t size)
{
	p->used += size;
	if (p->used == PIECE_SIZE)
		pump_flush(p);
}

void pump_flush(struct pump *p)
{
	if (!p->chunk)
		return;
	queue_publish(p->queue, p->chunk, p->used, true);
	p->chunk = NULL;
}

ssize_t pump_input(struct pump *p, const uint8_t **ret)
{
	ssize_t n = source_fill(p->source, ret);

	if (n < 0)
		return failure_errno(p->failure, (int)n, "read the archive");
	return n;
}

int pump_truncated(struct pump *p, const char *format)
{
	(void)failure_set(p->failure, -ENODATA,
			  "the %s stream ends too early: the file is truncated", format);
	return failure_hint(p->failure, "fetch or copy the file again and compare its checksum");
}

int pump_corrupt(struct pump *p, const char *format, const char *detail)
{
	(void)failure_set(p->failure, -EBADMSG, "the %s stream is damaged: %s", format, detail);
	return failure_hint(p->failure, "fetch or copy the file again and compare its checksum");
}

int pump_oom(struct pump *p)
{
	return failure_errno(p->failure, -ENOMEM, "decompress the archive");
}
