/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The zstd pump (RFC 8878), serial; frames follow one another. In the worker. */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "transfer/import/decode_internal.h"

/* As the zstd program without --long: a hostile frame makes us hold no more than 128 MiB. */
#define WINDOW_LOG_MAX 27

static int zstd_failed(struct pump *p, size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return pump_oom(p);
	if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
		(void)failure_set(p->failure, -EFBIG,
				  "the zstd stream needs a window of more than %u MiB",
				  (1U << WINDOW_LOG_MAX) >> 20);
		return failure_hint(p->failure, "zstd -dc --long=31 FILE | redd import-tar - NAME");
	}
	return pump_corrupt(p, "zstd", ZSTD_getErrorName(code));
}

/* Decodes all of `in`; *ret_pending is 0 when it ended with a frame. */
static int zstd_feed(struct pump *p, ZSTD_DCtx *context, ZSTD_inBuffer *in, size_t *ret_pending)
{
	ZSTD_outBuffer out;

	do {
		uint8_t *room;
		ssize_t size = pump_space(p, &room);
		size_t pending;

		if (size < 0)
			return (int)size;
		out = (ZSTD_outBuffer){.dst = room, .size = (size_t)size};
		pending = ZSTD_decompressStream(context, &out, in);
		if (ZSTD_isError(pending))
			return zstd_failed(p, pending);
		pump_commit(p, out.pos);
		*ret_pending = pending;
		/* At a frame's end another call would ask for the next frame's header. */
	} while (in->pos < in->size || (*ret_pending && out.pos == out.size));
	return 0;
}

static int zstd_run(struct pump *p, ZSTD_DCtx *context)
{
	size_t pending = 0;

	for (;;) {
		const uint8_t *data;
		ssize_t n = pump_input(p, &data);
		ZSTD_inBuffer in = {.src = data, .size = (size_t)n};
		int r;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return pending ? pump_truncated(p, "zstd") : 0;
		r = zstd_feed(p, context, &in, &pending);
		if (r < 0)
			return r;
		source_consume(p->source, (size_t)n);
	}
}

int pump_zstd(struct pump *p)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	int r;

	if (!context)
		return pump_oom(p);
	(void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	r = zstd_run(p, context);
	(void)ZSTD_freeDCtx(context);
	return r;
}
