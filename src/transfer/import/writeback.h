/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the tree to disk while it is being unpacked, so that the sync before an image gets its
 * name finds little left to do. A thread of the worker; quiet: a failure is worded.
 */
#pragma once

#include <stdint.h>

#include "transfer/failure.h"

struct writeback;

int writeback_start(int tree_fd, struct failure *failure, struct writeback **ret);
/* So many bytes were written to files in all. */
void writeback_note(struct writeback *f, uint64_t bytes);
/* Ends the thread, after the sync it is in. 0, or the error of a sync, which must not be lost. */
int writeback_finish(struct writeback *f);
