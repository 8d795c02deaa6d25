/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gzip pump (RFC 1952), serial: the format tells no sizes ahead. Several members follow one
 * another; what follows the last one and is no member is ignored, as gzip does. In the worker.
 */
#include <errno.h>
#include <stdbool.h>
#include <zlib.h>

#include "lib/cleanup.h"
#include "lib/macro.h"
#include "transfer/import/decode_internal.h"

#define WINDOW_BITS_GZIP (15 + 16)

static void gzip_end(z_stream **z)
{
	(void)inflateEnd(*z);
}

/* One call of inflate() from the input at hand into the room at hand. */
static int gzip_step(struct pump *p, z_stream *z)
{
	uint8_t *room;
	ssize_t size = pump_space(p, &room);
	int r;

	if (size < 0)
		return (int)size;
	z->next_out = room;
	z->avail_out = (uInt)size;
	r = inflate(z, Z_NO_FLUSH);
	pump_commit(p, (size_t)size - z->avail_out);
	switch (r) {
	case Z_STREAM_END:
		return 1;
	case Z_OK:
	case Z_BUF_ERROR:
		return 0;
	case Z_MEM_ERROR:
		return pump_oom(p);
	default:
		return pump_corrupt(p, "gzip", z->msg ? z->msg : "unknown header");
	}
}

/* Decodes a member to its end, however much input that takes. */
static int gzip_member(struct pump *p, z_stream *z)
{
	int r = 0;

	while (r == 0) {
		const uint8_t *data;
		ssize_t n = pump_input(p, &data);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return pump_truncated(p, "gzip");
		z->next_in = (Bytef *)(uintptr_t)data;
		z->avail_in = (uInt)n;
		/* A full room may hide output that needs no more input. */
		do
			r = gzip_step(p, z);
		while (r == 0 && (z->avail_in > 0 || z->avail_out == 0));
		source_consume(p->source, (size_t)n - z->avail_in);
	}
	return MIN(r, 0);
}

static bool gzip_another_member(struct pump *p)
{
	const uint8_t *data;

	return source_peek(p->source, 2, &data) >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static int gzip_drain(struct pump *p)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = pump_input(p, &data)) > 0)
		source_consume(p->source, (size_t)n);
	return (int)n;
}

int pump_gzip(struct pump *p)
{
	z_stream state = {};
	autocall(gzip_end) z_stream *z = &state;
	int r;

	if (inflateInit2(z, WINDOW_BITS_GZIP) != Z_OK)
		return pump_oom(p);
	do {
		r = gzip_member(p, z);
		if (r < 0)
			return r;
		(void)inflateReset(z);
	} while (gzip_another_member(p));
	return gzip_drain(p);
}
