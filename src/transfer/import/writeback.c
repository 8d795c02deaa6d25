/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls syncfs() after each so many bytes. The kernel reports a write error once for each open
 * file: what a sync here is told the parent's never hears of, so it must never be dropped.
 */
#include "transfer/import/writeback.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Large enough that a sync has work, small enough that the last one has little. */
#define FLUSH_STEP (UINT64_C(24) * 1024 * 1024)

struct writeback {
	struct failure *failure;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	pthread_t thread;
	int fd;
	uint64_t next; /* bytes at which to sync again; the unpacker's own */
	bool want;
	bool stop;
	int error;
};

/* True to sync, false to end. */
static bool writeback_wait(struct writeback *f)
{
	bool go;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->want && !f->stop)
		(void)pthread_cond_wait(&f->wanted, &f->lock);
	go = !f->stop;
	f->want = false;
	(void)pthread_mutex_unlock(&f->lock);
	return go;
}

static void *writeback_run(void *userdata)
{
	struct writeback *f = userdata;

	while (f->error == 0 && writeback_wait(f))
		if (syncfs(f->fd) < 0)
			f->error = failure_errno(f->failure, -errno, "write the tree to disk");
	return NULL;
}

int writeback_start(int tree_fd, struct failure *failure, struct writeback **ret)
{
	struct writeback *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		f->failure = failure;
		f->fd = tree_fd;
		f->next = FLUSH_STEP;
		(void)pthread_mutex_init(&f->lock, NULL);
		(void)pthread_cond_init(&f->wanted, NULL);
		r = -pthread_create(&f->thread, NULL, writeback_run, f);
	}
	if (r < 0) {
		free(f);
		return failure_errno(failure, r, "start a thread to write the tree to disk");
	}
	*ret = f;
	return 0;
}

void writeback_note(struct writeback *f, uint64_t bytes)
{
	if (bytes < f->next)
		return;
	f->next = bytes + FLUSH_STEP;
	(void)pthread_mutex_lock(&f->lock);
	f->want = true;
	(void)pthread_cond_signal(&f->wanted);
	(void)pthread_mutex_unlock(&f->lock);
}

int writeback_finish(struct writeback *f)
{
	int r;

	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_cond_signal(&f->wanted);
	(void)pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->thread, NULL);
	r = f->error;
	(void)pthread_cond_destroy(&f->wanted);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
	return r;
}
