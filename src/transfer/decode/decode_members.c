/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code that gzip and bzip2 share. A file may hold several members (pigz and pbzip2 write many).
 * Data after the last member is ignored, as gzip and bzip2 do. Decoding is serial, because neither
 * format says how long a member is. Must never end without an error inside a member. Runs in a
 * thread of the worker.
 */
#include <string.h>

#include "lib/macro.h"
#include "transfer/decode/decode_internal.h"

/* Decodes one member to its end, however much input that takes. */
static int decode_member(struct decode_stream *s, const struct member_format *format, void *state)
{
	int r = 0;

	while (r == 0) {
		struct decode_step step = {};
		ssize_t in_size = decode_input(s, &step.in);

		if (in_size < 0)
			return (int)in_size;
		if (in_size == 0)
			return decode_truncated(s, format->name);
		step.in_size = (size_t)in_size;
		/* If the output is full, the decoder may hold more that needs no further input. */
		do {
			ssize_t out_size = decode_room(s, &step.out);

			if (out_size < 0)
				return (int)out_size;
			step.out_size = (size_t)out_size;
			r = format->step(s, state, &step);
			decode_commit(s, (size_t)out_size - step.out_size);
		} while (r == 0 && (step.in_size > 0 || step.out_size == 0));
		source_consume(s->source, (size_t)in_size - step.in_size);
	}
	return MIN(r, 0);
}

int decode_members(struct decode_stream *s, const struct member_format *format, void *state)
{
	const uint8_t *data;
	ssize_t n;

	do {
		int r;

		if (format->begin(state) < 0)
			return decode_oom(s);
		r = decode_member(s, format, state);
		format->end(state);
		if (r < 0)
			return r;
		n = source_peek(s->source, format->magic_size, &data);
	} while (n >= (ssize_t)format->magic_size &&
		 memcmp(data, format->magic, format->magic_size) == 0);
	/* Read the rest, so that a program that writes into the pipe can end. */
	while ((n = decode_input(s, &data)) > 0)
		source_consume(s->source, (size_t)n);
	return (int)n;
}
