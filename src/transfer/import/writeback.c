/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls syncfs() each time WRITEBACK_STEP more bytes were written. Must never drop an error: the
 * kernel reports a write error once per open file, so the parent's sync would not see it again.
 * Runs in a thread of the worker.
 */
#include "transfer/import/writeback.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Large enough to be worth a sync, small enough to leave little for the last one. */
#define WRITEBACK_STEP (UINT64_C(24) * 1024 * 1024)

struct writeback {
	struct failure *failure;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	pthread_t thread;
	int fd;
	uint64_t next; /* sync again at this total; used by the unpacker's thread only */
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
		f->next = WRITEBACK_STEP;
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
	f->next = bytes + WRITEBACK_STEP;
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
