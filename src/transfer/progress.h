/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows how far a transfer is: one line that is drawn anew on a terminal, a line now and then
 * elsewhere, or JSON lines on stdout. A terminal that goes away is no error.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "transfer/stats.h"
#include "transfer/transfer.h"

enum progress_style {
	PROGRESS_NONE,
	PROGRESS_TERMINAL,
	PROGRESS_LINES,
	PROGRESS_JSON,
};

struct progress {
	enum progress_style style;
	const char *name;
	const struct transfer_stats *stats;
	uint64_t total;	     /* bytes of the input, 0 when it's not known (a pipe) */
	uint64_t started_us; /* monotonic */
	uint64_t next_us;    /* when to show it again */
	unsigned percent;    /* at the last line */
	bool drawn;	     /* a line on the terminal is open */
};

void progress_start(struct progress *p, const struct import_request *request, const char *name);
/* Milliseconds until progress_tick() should be called again, or -1. */
int progress_timeout_ms(const struct progress *p);
void progress_tick(struct progress *p);
/* Takes the line off the terminal, before anything else is printed. */
void progress_clear(struct progress *p);
/* The result: the time it took, what was read and written. */
void progress_finish(struct progress *p, const char *path);
