/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes zstd frames (RFC 8878), one after another. Runs in a thread of the worker. */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "transfer/decode/decode_internal.h"

/* The same limit as the zstd program without --long: a hostile frame can claim 128 MiB at most. */
#define WINDOW_LOG_MAX 27

static int zstd_failed(struct decode_stream *s, size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return decode_oom(s);
	if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
		(void)failure_set(s->failure, -EFBIG,
				  "the zstd stream needs a window of more than %u MiB",
				  (1U << WINDOW_LOG_MAX) >> 20);
		return failure_hint(s->failure, "zstd -dc --long=31 FILE | redd import-tar - NAME");
	}
	return decode_corrupt(s, "zstd", ZSTD_getErrorName(code));
}

/* Decodes all of `in`; *ret_pending is 0 if that was also the end of a frame. */
static int zstd_feed(struct decode_stream *s, ZSTD_DCtx *context, ZSTD_inBuffer *in,
		     size_t *ret_pending)
{
	ZSTD_outBuffer out;

	do {
		uint8_t *room;
		ssize_t size = decode_room(s, &room);
		size_t pending;

		if (size < 0)
			return (int)size;
		out = (ZSTD_outBuffer){.dst = room, .size = (size_t)size};
		pending = ZSTD_decompressStream(context, &out, in);
		if (ZSTD_isError(pending))
			return zstd_failed(s, pending);
		decode_commit(s, out.pos);
		*ret_pending = pending;
		/* Stop at the end of a frame: another call would ask for the next frame's header.
		 */
	} while (in->pos < in->size || (*ret_pending && out.pos == out.size));
	return 0;
}

static int zstd_run(struct decode_stream *s, ZSTD_DCtx *context)
{
	size_t pending = 0;

	for (;;) {
		const uint8_t *data;
		ssize_t n = decode_input(s, &data);
		ZSTD_inBuffer in = {.src = data, .size = (size_t)n};
		int r;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return pending ? decode_truncated(s, "zstd") : 0;
		r = zstd_feed(s, context, &in, &pending);
		if (r < 0)
			return r;
		source_consume(s->source, (size_t)n);
	}
}

int decode_zstd(struct decode_stream *s)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	int r;

	if (!context)
		return decode_oom(s);
	(void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	r = zstd_run(s, context);
	(void)ZSTD_freeDCtx(context);
	return r;
}
