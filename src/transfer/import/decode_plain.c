/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pump for archives that are not compressed: reading still overlaps unpacking. In the worker.
 */
#include "transfer/import/decode_internal.h"

int pump_plain(struct pump *p)
{
	for (;;) {
		uint8_t *room;
		ssize_t size = pump_space(p, &room);
		ssize_t n;

		if (size < 0)
			return (int)size;
		n = source_read(p->source, room, (size_t)size);
		if (n < 0)
			return failure_errno(p->failure, (int)n, "read the archive");
		if (n == 0)
			return 0;
		pump_commit(p, (size_t)n);
	}
}
