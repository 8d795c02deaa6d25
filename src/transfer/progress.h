/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows the progress of a transfer: one line that is redrawn on a terminal, a new line now and then
 * elsewhere, or JSON lines on stdout. A terminal that goes away is not an error.
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
	uint64_t total;	     /* bytes of input; 0 if unknown (a pipe) */
	uint64_t started_us; /* monotonic */
	uint64_t next_us;    /* time of the next update, monotonic */
	unsigned percent;    /* as of the last line printed */
	bool drawn;	     /* there is a line to erase on the terminal */
};

/* Borrows `name`. The caller sets p->stats and p->total afterwards. */
void progress_start(struct progress *p, const struct import_request *request, const char *name);
/* Milliseconds until progress_tick() should be called again, or -1. */
int progress_timeout_ms(const struct progress *p);
void progress_tick(struct progress *p);
/* Erases the line on the terminal. Call it before printing anything else. */
void progress_clear(struct progress *p);
/* Shows the result: the time it took, and the bytes read and unpacked. */
void progress_finish(struct progress *p, const char *path);
