/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes gzip members (RFC 1952). Runs in a thread of the worker. */
#include <errno.h>
#include <zlib.h>

#include "transfer/decode/decode_internal.h"

#define WINDOW_BITS_GZIP (15 + 16)

static int gzip_begin(void *state)
{
	z_stream *z = state;

	*z = (z_stream){};
	return inflateInit2(z, WINDOW_BITS_GZIP) == Z_OK ? 0 : -ENOMEM;
}

static void gzip_end(void *state)
{
	(void)inflateEnd(state);
}

static int gzip_step(struct decode_stream *s, void *state, struct decode_step *step)
{
	z_stream *z = state;
	int r;

	z->next_in = (Bytef *)(uintptr_t)step->in;
	z->avail_in = (uInt)step->in_size;
	z->next_out = step->out;
	z->avail_out = (uInt)step->out_size;
	r = inflate(z, Z_NO_FLUSH);
	*step = (struct decode_step){z->next_in, z->avail_in, z->next_out, z->avail_out};
	switch (r) {
	case Z_STREAM_END:
		return 1;
	case Z_OK:
	case Z_BUF_ERROR:
		return 0;
	case Z_MEM_ERROR:
		return decode_oom(s);
	default:
		return decode_corrupt(s, "gzip", z->msg ? z->msg : "unknown header");
	}
}

int decode_gzip(struct decode_stream *s)
{
	static const struct member_format format = {"gzip",	{0x1f, 0x8b}, 2,
						    gzip_begin, gzip_step,    gzip_end};
	z_stream z;

	return decode_members(s, &format, &z);
}
