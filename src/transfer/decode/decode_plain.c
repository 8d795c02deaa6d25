/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes on an archive that is not compressed. The thread lets reading overlap unpacking. Runs in a
 * thread of the worker.
 */
#include "transfer/decode/decode_internal.h"

int decode_plain(struct decode_stream *s)
{
	for (;;) {
		uint8_t *room;
		ssize_t size = decode_room(s, &room);
		ssize_t n;

		if (size < 0)
			return (int)size;
		n = source_read(s->source, room, (size_t)size);
		if (n < 0)
			return failure_errno(s->failure, (int)n, "read the archive");
		if (n == 0)
			return 0;
		decode_commit(s, (size_t)n);
	}
}
