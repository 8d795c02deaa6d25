/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bzip2 pump, serial. Several streams follow one another (pbzip2 makes them); what follows the
 * last and is no stream is ignored, as bzip2 does. In the worker.
 */
#include <bzlib.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/macro.h"
#include "transfer/import/decode_internal.h"

static int bzip2_step(struct pump *p, bz_stream *z)
{
	uint8_t *room;
	ssize_t size = pump_space(p, &room);
	int r;

	if (size < 0)
		return (int)size;
	z->next_out = (char *)room;
	z->avail_out = (unsigned)size;
	r = BZ2_bzDecompress(z);
	pump_commit(p, (size_t)size - z->avail_out);
	if (r == BZ_STREAM_END)
		return 1;
	if (r == BZ_MEM_ERROR)
		return pump_oom(p);
	if (r != BZ_OK)
		return pump_corrupt(p, "bzip2",
				    r == BZ_DATA_ERROR ? "a checksum is wrong" : "unknown header");
	return 0;
}

static int bzip2_stream(struct pump *p, bz_stream *z)
{
	int r = 0;

	while (r == 0) {
		const uint8_t *data;
		ssize_t n = pump_input(p, &data);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return pump_truncated(p, "bzip2");
		z->next_in = (char *)(uintptr_t)data;
		z->avail_in = (unsigned)n;
		do
			r = bzip2_step(p, z);
		while (r == 0 && (z->avail_in > 0 || z->avail_out == 0));
		source_consume(p->source, (size_t)n - z->avail_in);
	}
	return MIN(r, 0);
}

static bool bzip2_another_stream(struct pump *p)
{
	const uint8_t *data;

	return source_peek(p->source, 3, &data) >= 3 && memcmp(data, "BZh", 3) == 0;
}

static int bzip2_drain(struct pump *p)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = pump_input(p, &data)) > 0)
		source_consume(p->source, (size_t)n);
	return (int)n;
}

int pump_bzip2(struct pump *p)
{
	int r;

	do {
		bz_stream z = {};

		if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
			return pump_oom(p);
		r = bzip2_stream(p, &z);
		(void)BZ2_bzDecompressEnd(&z);
		if (r < 0)
			return r;
	} while (bzip2_another_stream(p));
	return bzip2_drain(p);
}
