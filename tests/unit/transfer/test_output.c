/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file is on disk before it gets its name: fsync(2) comes first, and its failure is an error. */
#include "captured_log.h"
#include "check.h"
#include "transfer/pack/output.h"

static unsigned synced_files, synced_folders;
static int sync_error;
static const struct scratch *scratch;

/* Replaces the C library's function in this program. */
int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		synced_folders++;
		return 0;
	}
	/* It has no name yet. */
	assert_false(exists(scratch->fd, "out"));
	synced_files++;
	errno = sync_error;
	return sync_error ? -1 : 0;
}

static int publish(const struct scratch *s, int error)
{
	char path[128];
	struct output o;
	int r;

	scratch = s;
	sync_error = error;
	synced_files = synced_folders = 0;
	(void)snprintf(path, sizeof(path), "%s/out", s->path);
	assert_int_equal(output_open(path, &o), 0);
	assert_int_equal(write(o.fd, "x", 1), 1);
	r = output_publish(&o);
	output_done(&o);
	return r;
}

/*
 * security row: F06
 * attack: a power cut soon after an import
 * defence: the image is on disk before it has its name
 */
static void test_synced_before_its_name(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(publish(s, 0), 0);
	assert_true(exists(s->fd, "out"));
	assert_int_equal(synced_files, 1);
	assert_int_equal(synced_folders, 1);
}

static void test_no_name_without_sync(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(publish(s, EIO), -EIO);
	assert_false(exists(s->fd, "out"));
	assert_int_equal(synced_files, 1);
	assert_int_equal(synced_folders, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_synced_before_its_name),
		scratch_test(test_no_name_without_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
