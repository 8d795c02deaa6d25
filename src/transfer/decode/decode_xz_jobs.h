/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that decode blocks of an xz stream in parallel. The reader hands over complete compressed
 * blocks of known size; each thread fills the chunk of its block. Quiet: failures are worded.
 */
#pragma once

#include <lzma.h>
#include <stdbool.h>

#include "transfer/decode/decode_internal.h"

/* Memory of all decoders together. A thread keeps its decoder from block to block. */
#define XZ_JOBS_MEMORY_MAX (UINT64_C(512) * 1024 * 1024)

/* Memory of one decoder: xz -9 has dictionaries of 64 MiB; only custom options need larger ones. */
#define XZ_DECODER_MEMORY_MAX (UINT64_C(260) * 1024 * 1024)

struct xz_jobs;

/* A block to be decoded; once submitted, the job owns all of it. */
struct xz_job {
	struct xz_job *next;
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	uint8_t *in; /* compressed data, padding and check */
	size_t in_size;
	size_t out_size; /* of the block; its chunk may be a recycled, larger one */
	struct chunk *chunk;
};

/*
 * Threads for blocks whose decoders take `memory` bytes: one for each processor, unless all of them
 * would take more than XZ_JOBS_MEMORY_MAX.
 */
int xz_jobs_start(struct decode_stream *s, uint64_t memory, struct xz_jobs **ret);
/* False if a decoder that takes `memory` bytes exceeds one thread's share. */
bool xz_jobs_fit(const struct xz_jobs *jobs, uint64_t memory);
void xz_jobs_submit(struct xz_jobs *jobs, struct xz_job *job);
/* Waits until all submitted jobs are done; 0 or the first failure. Ends the threads. */
int xz_jobs_finish(struct xz_jobs *jobs);

struct xz_job *xz_job_new(size_t in_size);
void xz_job_free(struct xz_job *job);
/* Frees the options that liblzma allocated when it decoded a block header. */
void xz_filters_free(lzma_filter *filters);
/* Words a failure of liblzma. */
int xz_failed(struct decode_stream *s, lzma_ret r);
