/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the tree to disk while it is being unpacked, so that little is left for the final sync
 * before the image gets its name. Runs in a thread of the worker. Quiet: failures are worded.
 */
#pragma once

#include <stdint.h>

#include "transfer/failure.h"

struct writeback;

int writeback_start(int tree_fd, struct failure *failure, struct writeback **ret);
/* Reports the total of bytes written to files so far. Only the unpacker's thread may call it. */
void writeback_note(struct writeback *f, uint64_t bytes);
/* Ends the thread after its current sync. 0, or the error of a sync, which must not be ignored. */
int writeback_finish(struct writeback *f);
