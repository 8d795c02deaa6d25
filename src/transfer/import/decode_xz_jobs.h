/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that decode blocks of an xz stream at the same time. The pump gives them whole compressed
 * blocks whose sizes are known; each fills its piece of the queue. Quiet: failures are worded.
 */
#pragma once

#include <lzma.h>
#include <stdbool.h>

#include "transfer/import/decode_internal.h"

/* Of all decoders together. A thread keeps its decoder from block to block. */
#define XZ_JOBS_MEMORY_MAX (UINT64_C(512) * 1024 * 1024)

/* Of one: xz -9 has dictionaries of 64 MiB; larger ones come from hand-made options. */
#define XZ_DECODER_MEMORY_MAX (UINT64_C(260) * 1024 * 1024)

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

/*
 * Threads for blocks whose decoders take `memory` bytes: one for each processor, unless all of them
 * would take more than XZ_JOBS_MEMORY_MAX.
 */
int xz_jobs_start(struct pump *p, uint64_t memory, struct xz_jobs **ret);
/* False for a block whose decoder takes more than a thread's share of that. */
bool xz_jobs_fit(const struct xz_jobs *jobs, uint64_t memory);
void xz_jobs_submit(struct xz_jobs *jobs, struct xz_job *job);
/* Waits until all submitted jobs are done; 0 or the first failure. Ends the threads. */
int xz_jobs_finish(struct xz_jobs *jobs);

struct xz_job *xz_job_new(size_t in_size);
void xz_job_free(struct xz_job *job);
/* The options in a filter chain that a block header decoder allocated. */
void xz_filters_free(lzma_filter *filters);
/* Words what liblzma says about a block. */
int xz_failed(struct pump *p, lzma_ret r);
