/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ordered, bounded queue between threads. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "transfer/queue.h"

#define PIECE 100
#define COUNT 1000

static void test_order_not_time_counts(void **state)
{
	struct queue *q = NULL;
	struct chunk *first, *second;
	const void *data;

	assert_int_equal(queue_new(1000, &q), 0);
	assert_int_equal(queue_add(q, 4, 0, &first), 0);
	assert_int_equal(queue_add(q, 4, 0, &second), 0);
	memcpy(second->data, "late", 4);
	queue_publish(q, second, 4, true);
	memcpy(first->data, "soon", 4);
	queue_publish(q, first, 2, false);
	assert_int_equal(queue_next(q, &data), 2);
	assert_memory_equal(data, "so", 2);
	queue_publish(q, first, 4, true);
	assert_int_equal(queue_next(q, &data), 2);
	assert_memory_equal(data, "on", 2);
	assert_int_equal(queue_next(q, &data), 4);
	assert_memory_equal(data, "late", 4);
	queue_end(q, 0);
	assert_int_equal(queue_next(q, &data), 0);
	queue_free(q);
}

struct producer {
	struct queue *queue;
	atomic_int added;
	int result;
};

static void *produce(void *userdata)
{
	struct producer *p = userdata;

	for (int i = 0; i < COUNT && p->result == 0; i++) {
		struct chunk *c;

		p->result = queue_add(p->queue, PIECE, 0, &c);
		if (p->result < 0)
			return NULL;
		atomic_fetch_add(&p->added, 1);
		memset(c->data, i & 0xff, PIECE);
		queue_publish(p->queue, c, PIECE, true);
	}
	queue_end(p->queue, 0);
	return NULL;
}

static void test_budget_holds_a_producer_back(void **state)
{
	struct producer p = {};
	struct timespec pause = {.tv_nsec = 20000000};
	pthread_t thread;
	const void *data;
	ssize_t n;
	int i = 0;

	assert_int_equal(queue_new(5 * PIECE, &p.queue), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	(void)nanosleep(&pause, NULL);
	assert_in_range(atomic_load(&p.added), 0, 5);
	for (; (n = queue_next(p.queue, &data)) > 0; i++) {
		assert_int_equal(n, PIECE);
		assert_int_equal(*(const uint8_t *)data, i & 0xff);
	}
	assert_int_equal(i, COUNT);
	assert_int_equal(pthread_join(thread, NULL), 0);
	queue_free(p.queue);
}

static void test_cancel_frees_a_waiting_producer(void **state)
{
	struct producer p = {};
	pthread_t thread;

	assert_int_equal(queue_new(PIECE, &p.queue), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	queue_cancel(p.queue);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(p.result, -ECANCELED);
	queue_free(p.queue);
}

static void test_error_comes_at_once(void **state)
{
	struct queue *q = NULL;
	struct chunk *c;
	const void *data;

	assert_int_equal(queue_new(1000, &q), 0);
	assert_int_equal(queue_add(q, 4, 0, &c), 0);
	queue_publish(q, c, 4, true);
	queue_end(q, -EBADMSG);
	assert_int_equal(queue_next(q, &data), -EBADMSG);
	assert_int_equal(queue_add(q, 4, 0, &c), -ECANCELED);
	queue_free(q);
}

static void test_one_piece_may_exceed_the_budget(void **state)
{
	struct queue *q = NULL;
	struct chunk *c;

	assert_int_equal(queue_new(10, &q), 0);
	assert_int_equal(queue_add(q, 1000, 1000, &c), 0);
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_not_time_counts),
		cmocka_unit_test(test_budget_holds_a_producer_back),
		cmocka_unit_test(test_cancel_frees_a_waiting_producer),
		cmocka_unit_test(test_error_comes_at_once),
		cmocka_unit_test(test_one_piece_may_exceed_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
