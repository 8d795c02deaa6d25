/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decodes blocks in parallel. A block's sizes come from its header or the file's index, and liblzma
 * fails when the data doesn't match them. Must never write past the end of a chunk. Runs in threads
 * of the worker.
 */
#include "transfer/decode/decode_xz_jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/cleanup.h"
#include "lib/macro.h"

/* Bytes decoded before they are published to the unpacker. */
#define STEP_SIZE ((size_t)512 * 1024)

struct xz_jobs {
	struct decode_stream *stream;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct xz_job *head;
	struct xz_job *tail;
	pthread_t *threads;
	size_t thread_count;
	bool closing;
	int error;
};

struct xz_job *xz_job_new(size_t in_size)
{
	struct xz_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->filters[0].id = LZMA_VLI_UNKNOWN;
	job->in = malloc(in_size ? in_size : 1);
	job->in_size = in_size;
	if (!job->in) {
		free(job);
		return NULL;
	}
	return job;
}

void xz_filters_free(lzma_filter *filters)
{
	for (size_t i = 0; i < LZMA_FILTERS_MAX && filters[i].id != LZMA_VLI_UNKNOWN; i++)
		free(filters[i].options);
	filters[0].id = LZMA_VLI_UNKNOWN;
}

void xz_job_free(struct xz_job *job)
{
	if (!job)
		return;
	xz_filters_free(job->filters);
	free(job->in);
	free(job);
}

int xz_failed(struct decode_stream *s, lzma_ret r)
{
	switch (r) {
	case LZMA_MEM_ERROR:
		return decode_oom(s);
	case LZMA_BUF_ERROR:
		return decode_truncated(s, "xz");
	case LZMA_OPTIONS_ERROR:
		return decode_corrupt(s, "xz", "it uses a filter that is not supported");
	case LZMA_FORMAT_ERROR:
		return decode_corrupt(s, "xz", "what follows is not an xz stream");
	default:
		return decode_corrupt(s, "xz", "a checksum or size is wrong");
	}
}

static int job_decode(struct decode_stream *s, struct xz_job *job, lzma_stream *strm)
{
	struct chunk *chunk = job->chunk;
	size_t produced = 0;
	lzma_ret r = lzma_block_decoder(strm, &job->block);

	strm->next_in = job->in;
	strm->avail_in = job->in_size;
	while (r == LZMA_OK) {
		size_t step = MIN(STEP_SIZE, job->out_size - produced);

		strm->next_out = chunk->data + produced;
		strm->avail_out = step;
		r = lzma_code(strm, LZMA_FINISH);
		produced += step - strm->avail_out;
		if (r == LZMA_OK && queue_is_cancelled(s->queue))
			return -ECANCELED;
		if (r == LZMA_OK)
			queue_publish(s->queue, chunk, produced, false);
	}
	if (r != LZMA_STREAM_END || strm->avail_in > 0 || produced != job->out_size)
		return xz_failed(s, r == LZMA_BUF_ERROR ? LZMA_DATA_ERROR : r);
	queue_publish(s->queue, chunk, produced, true);
	return 0;
}

static struct xz_job *jobs_take(struct xz_jobs *jobs)
{
	struct xz_job *job;

	(void)pthread_mutex_lock(&jobs->lock);
	while (!jobs->head && !jobs->closing)
		(void)pthread_cond_wait(&jobs->work, &jobs->lock);
	job = jobs->head;
	if (job) {
		jobs->head = job->next;
		if (!jobs->head)
			jobs->tail = NULL;
	}
	(void)pthread_mutex_unlock(&jobs->lock);
	return job;
}

static void jobs_failed(struct xz_jobs *jobs, int error)
{
	(void)pthread_mutex_lock(&jobs->lock);
	if (jobs->error == 0)
		jobs->error = error;
	(void)pthread_mutex_unlock(&jobs->lock);
	queue_end(jobs->stream->queue, error);
}

static void *jobs_run(void *userdata)
{
	struct xz_jobs *jobs = userdata;
	lzma_stream strm = LZMA_STREAM_INIT;
	struct xz_job *job;

	while ((job = jobs_take(jobs))) {
		int r = queue_is_cancelled(jobs->stream->queue)
				? -ECANCELED
				: job_decode(jobs->stream, job, &strm);

		if (r < 0)
			jobs_failed(jobs, r);
		xz_job_free(job);
	}
	lzma_end(&strm);
	return NULL;
}

bool xz_jobs_fit(const struct xz_jobs *jobs, uint64_t memory)
{
	return memory <= XZ_JOBS_MEMORY_MAX / jobs->thread_count;
}

int xz_jobs_start(struct decode_stream *s, uint64_t memory, struct xz_jobs **ret)
{
	size_t share = (size_t)(XZ_JOBS_MEMORY_MAX / MAX(memory, UINT64_C(1)));
	size_t threads = MIN(s->cpus, MAX(share, (size_t)1));
	struct xz_jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return decode_oom(s);
	jobs->stream = s;
	(void)pthread_mutex_init(&jobs->lock, NULL);
	(void)pthread_cond_init(&jobs->work, NULL);
	jobs->threads = calloc(threads, sizeof(*jobs->threads));
	while (jobs->threads && jobs->thread_count < threads) {
		if (pthread_create(&jobs->threads[jobs->thread_count], NULL, jobs_run, jobs) != 0)
			break;
		jobs->thread_count++;
	}
	if (jobs->thread_count == 0) {
		(void)xz_jobs_finish(jobs);
		return failure_errno(s->failure, -EAGAIN, "start threads to decompress");
	}
	*ret = jobs;
	return 0;
}

void xz_jobs_submit(struct xz_jobs *jobs, struct xz_job *job)
{
	(void)pthread_mutex_lock(&jobs->lock);
	job->next = NULL;
	/* The reader's filters do not outlive the block's header; the job has its own. */
	job->block.filters = job->filters;
	if (jobs->tail)
		jobs->tail->next = job;
	else
		jobs->head = job;
	jobs->tail = job;
	(void)pthread_cond_signal(&jobs->work);
	(void)pthread_mutex_unlock(&jobs->lock);
}

int xz_jobs_finish(struct xz_jobs *jobs)
{
	int r;

	(void)pthread_mutex_lock(&jobs->lock);
	jobs->closing = true;
	(void)pthread_cond_broadcast(&jobs->work);
	(void)pthread_mutex_unlock(&jobs->lock);
	for (size_t i = 0; i < jobs->thread_count; i++)
		(void)pthread_join(jobs->threads[i], NULL);
	r = jobs->error;
	(void)pthread_cond_destroy(&jobs->work);
	(void)pthread_mutex_destroy(&jobs->lock);
	free(jobs->threads);
	free(jobs);
	return r;
}
