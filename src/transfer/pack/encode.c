// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Compresses blocks in threads. The caller fills blocks. The thread that finishes the next block in
 * order writes it, and the finished blocks that follow it. Must never write blocks out of order.
 * Runs in the packing process.
 */
#include "transfer/pack/encode.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "transfer/pack/encode_internal.h"

#define THREADS_MAX 64U
#define TICK_NS 100000000L

struct encoder {
	struct encode_config config;
	const struct codec *codec;
	size_t block_size;
	unsigned thread_count;
	pthread_t threads[THREADS_MAX];

	pthread_mutex_t lock;
	pthread_cond_t work;			     /* a block is waiting, or no more will come */
	pthread_cond_t progress;		     /* a block became free, or something failed */
	struct encode_block *waiting, *waiting_last; /* filled, not yet compressed */
	struct encode_block *finished; /* compressed, not yet written; sorted by number */
	struct encode_block *free_blocks;
	unsigned blocks, blocks_max;
	uint64_t filled, written; /* numbers of blocks */
	bool writing, closing;
	int error;
	atomic_bool cancelled;

	struct encode_block *current;
	struct encode_sink sink;
};

static const struct codec *const codecs[] = {
	[ENCODE_NONE] = &codec_none,
	[ENCODE_GZIP] = &codec_gzip,
	[ENCODE_XZ] = &codec_xz,
	[ENCODE_ZSTD] = &codec_zstd,
};

int encode_parse(const char *text, enum encode_format *ret_format, uint32_t *ret_level)
{
	size_t length = strcspn(text, ":");
	uint32_t level = ENCODE_LEVEL_DEFAULT;

	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		if (strlen(codecs[i]->name) != length ||
		    strncmp(codecs[i]->name, text, length) != 0)
			continue;
		if (text[length] == ':' &&
		    (parse_u32(text + length + 1, &level) < 0 || level > codecs[i]->level_max))
			return -ERANGE;
		*ret_format = (enum encode_format)i;
		*ret_level = level;
		return 0;
	}
	return -EINVAL;
}

int encode_format_from_name(const char *path, enum encode_format *ret)
{
	static const struct {
		const char *suffix;
		enum encode_format format;
	} rows[] = {
		{".tar", ENCODE_NONE},	   {".tar.xz", ENCODE_XZ},     {".txz", ENCODE_XZ},
		{".tar.zst", ENCODE_ZSTD}, {".tar.zstd", ENCODE_ZSTD}, {".tzst", ENCODE_ZSTD},
		{".tar.gz", ENCODE_GZIP},  {".tgz", ENCODE_GZIP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_has_suffix(path, rows[i].suffix)) {
			*ret = rows[i].format;
			return 0;
		}
	}
	return -EINVAL;
}

static void block_free(struct encode_block *block)
{
	if (!block)
		return;
	free(block->in);
	free(block->out);
	free(block);
}

static struct encode_block *block_new(const struct encoder *e)
{
	struct encode_block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->out_capacity = e->codec->bound(e->block_size);
	block->in = malloc(e->block_size);
	block->out = block->out_capacity ? malloc(block->out_capacity) : NULL;
	if (!block->in || (block->out_capacity && !block->out)) {
		block_free(block);
		return NULL;
	}
	return block;
}

/* Call it with the lock held. Keeps the first failure, which causes the others. */
static void fail(struct encoder *e, int error)
{
	if (e->error == 0)
		e->error = error;
	atomic_store(&e->cancelled, true);
	(void)pthread_cond_broadcast(&e->work);
	(void)pthread_cond_broadcast(&e->progress);
}

static struct encode_block *take_waiting(struct encoder *e)
{
	struct encode_block *block;

	while (!e->waiting && !e->closing && e->error == 0)
		(void)pthread_cond_wait(&e->work, &e->lock);
	block = e->error == 0 ? e->waiting : NULL;
	if (block) {
		e->waiting = block->next;
		if (!e->waiting)
			e->waiting_last = NULL;
	}
	return block;
}

static void put_finished(struct encoder *e, struct encode_block *block)
{
	struct encode_block **at = &e->finished;

	while (*at && (*at)->number < block->number)
		at = &(*at)->next;
	block->next = *at;
	*at = block;
}

/* Call it with the lock held; it is released while writing. One thread writes at a time. */
static void write_finished(struct encoder *e)
{
	if (e->writing)
		return;
	e->writing = true;
	while (e->error == 0 && e->finished && e->finished->number == e->written) {
		struct encode_block *block = e->finished;
		int r;

		e->finished = block->next;
		(void)pthread_mutex_unlock(&e->lock);
		r = e->codec->add(&e->sink, block);
		(void)pthread_mutex_lock(&e->lock);
		e->written++;
		block->next = e->free_blocks;
		e->free_blocks = block;
		if (r < 0)
			fail(e, r);
		(void)pthread_cond_broadcast(&e->progress);
	}
	e->writing = false;
}

static void *run_thread(void *userdata)
{
	struct encoder *e = userdata;
	struct encode_block *block;
	void *state = NULL;

	(void)pthread_mutex_lock(&e->lock);
	while ((block = take_waiting(e))) {
		int r;

		(void)pthread_mutex_unlock(&e->lock);
		r = e->codec->encode(block, e->config.level, &e->cancelled, &state);
		(void)pthread_mutex_lock(&e->lock);
		put_finished(e, block);
		if (r < 0)
			fail(e, r);
		write_finished(e);
	}
	(void)pthread_mutex_unlock(&e->lock);
	if (state)
		e->codec->forget(state);
	return NULL;
}

/* A thread needs its encoder and, at worst, the input and output of two blocks. */
static unsigned choose_threads(const struct encoder *e)
{
	uint64_t each = e->codec->memory(e->config.level) + 4 * e->block_size;
	struct sysinfo memory = {};
	cpu_set_t cpus;
	uint64_t n = 1;

	if (e->config.threads > 0)
		return MIN(e->config.threads, THREADS_MAX);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = (uint64_t)CPU_COUNT(&cpus);
	if (sysinfo(&memory) == 0)
		n = MIN(n, (uint64_t)memory.totalram * memory.mem_unit / 2 / each);
	return (unsigned)MAX(MIN(n, (uint64_t)THREADS_MAX), UINT64_C(1));
}

/* The threads block all signals: the main thread handles them. */
static int start_threads(struct encoder *e, unsigned wanted)
{
	sigset_t all, old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (e->thread_count < wanted &&
	       pthread_create(&e->threads[e->thread_count], NULL, run_thread, e) == 0)
		e->thread_count++;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e->thread_count > 0 ? 0 : -EAGAIN;
}

int encoder_start(const struct encode_config *config, struct encoder **ret)
{
	struct encoder *e = calloc(1, sizeof(*e));
	unsigned threads;
	int r;

	if (!e)
		return -ENOMEM;
	e->config = *config;
	e->codec = codecs[config->format];
	if (config->level == ENCODE_LEVEL_DEFAULT)
		e->config.level = e->codec->level_default;
	e->block_size = e->codec->block_size(e->config.level);
	e->sink = (struct encode_sink){.fd = config->out_fd, .bytes = config->bytes_out};
	(void)pthread_mutex_init(&e->lock, NULL);
	(void)pthread_cond_init(&e->work, NULL);
	(void)pthread_cond_init(&e->progress, NULL);
	threads = choose_threads(e);
	/* One block per thread, one that is being filled, one that waits to be written. */
	e->blocks_max = threads + 2;
	r = e->codec->begin ? e->codec->begin(&e->sink) : 0;
	if (r == 0)
		r = start_threads(e, threads);
	if (r < 0) {
		encoder_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

/* Call it with the lock held; it is released meanwhile. */
static void tick(struct encoder *e)
{
	int r;

	if (!e->config.tick)
		return;
	(void)pthread_mutex_unlock(&e->lock);
	r = e->config.tick(e->config.userdata);
	(void)pthread_mutex_lock(&e->lock);
	if (r < 0)
		fail(e, r);
}

static void wait_for_progress(struct encoder *e)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TICK_NS;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	(void)pthread_cond_timedwait(&e->progress, &e->lock, &until);
	tick(e);
}

static struct encode_block *take_free(struct encoder *e)
{
	struct encode_block *block = NULL;

	(void)pthread_mutex_lock(&e->lock);
	tick(e);
	while (e->error == 0 && !e->free_blocks && e->blocks >= e->blocks_max)
		wait_for_progress(e);
	if (e->error == 0 && e->free_blocks) {
		block = e->free_blocks;
		e->free_blocks = block->next;
	} else if (e->error == 0) {
		block = block_new(e);
		e->blocks += block != NULL;
		if (!block)
			fail(e, -ENOMEM);
	}
	(void)pthread_mutex_unlock(&e->lock);
	if (block) {
		block->in_size = block->out_size = 0;
		block->next = NULL;
		block->number = e->filled++;
	}
	return block;
}

uint8_t *encoder_room(struct encoder *e, size_t *ret_size)
{
	if (!e->current)
		e->current = take_free(e);
	if (!e->current)
		return NULL;
	*ret_size = e->block_size - e->current->in_size;
	return e->current->in + e->current->in_size;
}

static void submit(struct encoder *e)
{
	struct encode_block *block = take_ptr(e->current);

	(void)pthread_mutex_lock(&e->lock);
	if (e->waiting_last)
		e->waiting_last->next = block;
	else
		e->waiting = block;
	e->waiting_last = block;
	(void)pthread_cond_signal(&e->work);
	(void)pthread_mutex_unlock(&e->lock);
}

int encoder_commit(struct encoder *e, size_t size)
{
	e->current->in_size += size;
	if (e->current->in_size == e->block_size)
		submit(e);
	return encoder_error(e);
}

int encoder_error(struct encoder *e)
{
	int r;

	(void)pthread_mutex_lock(&e->lock);
	r = e->error;
	(void)pthread_mutex_unlock(&e->lock);
	return r;
}

static void end_threads(struct encoder *e)
{
	(void)pthread_mutex_lock(&e->lock);
	e->closing = true;
	(void)pthread_cond_broadcast(&e->work);
	(void)pthread_mutex_unlock(&e->lock);
	for (unsigned i = 0; i < e->thread_count; i++)
		(void)pthread_join(e->threads[i], NULL);
	e->thread_count = 0;
}

int encoder_finish(struct encoder *e)
{
	int r;

	if (e->current && e->current->in_size > 0)
		submit(e);
	else if (e->current)
		e->filled--;
	(void)pthread_mutex_lock(&e->lock);
	while (e->error == 0 && e->written < e->filled)
		wait_for_progress(e);
	r = e->error;
	(void)pthread_mutex_unlock(&e->lock);
	end_threads(e);
	if (r == 0 && e->codec->end)
		r = e->codec->end(&e->sink);
	return r;
}

static void free_list(struct encode_block *block)
{
	while (block) {
		struct encode_block *next = block->next;

		block_free(block);
		block = next;
	}
}

void encoder_free(struct encoder *e)
{
	(void)pthread_mutex_lock(&e->lock);
	if (e->thread_count > 0)
		fail(e, -ECANCELED);
	(void)pthread_mutex_unlock(&e->lock);
	end_threads(e);
	e->sink.failed = true;
	if (e->sink.state && e->codec->end)
		(void)e->codec->end(&e->sink);
	free_list(e->waiting);
	free_list(e->finished);
	free_list(e->free_blocks);
	block_free(e->current);
	(void)pthread_cond_destroy(&e->progress);
	(void)pthread_cond_destroy(&e->work);
	(void)pthread_mutex_destroy(&e->lock);
	free(e);
}
