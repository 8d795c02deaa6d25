/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes bzip2 streams. Runs in a thread of the worker. */
#include <bzlib.h>
#include <errno.h>

#include "transfer/decode/decode_internal.h"

static int bzip2_begin(void *state)
{
	bz_stream *z = state;

	*z = (bz_stream){};
	return BZ2_bzDecompressInit(z, 0, 0) == BZ_OK ? 0 : -ENOMEM;
}

static void bzip2_end(void *state)
{
	(void)BZ2_bzDecompressEnd(state);
}

static int bzip2_step(struct decode_stream *s, void *state, struct decode_step *step)
{
	bz_stream *z = state;
	int r;

	z->next_in = (char *)(uintptr_t)step->in;
	z->avail_in = (unsigned)step->in_size;
	z->next_out = (char *)step->out;
	z->avail_out = (unsigned)step->out_size;
	r = BZ2_bzDecompress(z);
	*step = (struct decode_step){(const uint8_t *)z->next_in, z->avail_in,
				     (uint8_t *)z->next_out, z->avail_out};
	switch (r) {
	case BZ_STREAM_END:
		return 1;
	case BZ_OK:
		return 0;
	case BZ_MEM_ERROR:
		return decode_oom(s);
	default:
		return decode_corrupt(
			s, "bzip2", r == BZ_DATA_ERROR ? "a checksum is wrong" : "unknown header");
	}
}

int decode_bzip2(struct decode_stream *s)
{
	static const struct member_format format = {"bzip2",	 {'B', 'Z', 'h'}, 3,
						    bzip2_begin, bzip2_step,	  bzip2_end};
	bz_stream z;

	return decode_members(s, &format, &z);
}
