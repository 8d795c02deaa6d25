/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that decode blocks of an xz stream at the same time. The pump gives them whole compressed
 * blocks whose sizes are known; each fills its piece of the queue. Quiet: failures are worded.
 */
#pragma once

#include <lzma.h>

#include "transfer/decode_pump.h"

struct xz_jobs;

/* A block on its way; the job owns all of it once it is submitted. */
struct xz_job {
	struct xz_job *next;
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	uint8_t *in; /* compressed data, padding and check */
	size_t in_size;
	size_t out_size; /* of the block; its chunk may be a used one with more room */
	struct chunk *chunk;
};

int xz_jobs_start(struct pump *p, size_t threads, struct xz_jobs **ret);
void xz_jobs_submit(struct xz_jobs *jobs, struct xz_job *job);
/* Waits until all submitted jobs are done; 0 or the first failure. Ends the threads. */
int xz_jobs_finish(struct xz_jobs *jobs);

struct xz_job *xz_job_new(size_t in_size);
void xz_job_free(struct xz_job *job);
/* The options in a filter chain that a block header decoder allocated. */
void xz_filters_free(lzma_filter *filters);
/* Words what liblzma says about a block. */
int xz_failed(struct pump *p, lzma_ret r);
