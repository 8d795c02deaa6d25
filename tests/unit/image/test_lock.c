/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Image locks: between redd processes, across renames and deaths, and with the real systemd-nspawn.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "check.h"
#include "image/lock.h"
#include "lib/lock.h"
#include "lib/str.h"

/* A private mount namespace, so that this machine's lock files aren't touched. */
static int setup(void **state)
{
	int r = scratch_setup(state);
	struct scratch *s = *state;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		return r; /* each test skips itself */
	assert_int_equal(mkdirat(s->fd, "a", 0755), 0);
	return r;
}

static struct image *find(const struct scratch *s, const char *name)
{
	autofree char *path = str_printf("%s/%s", s->path, name);
	struct image *image = NULL;

	if (geteuid() != 0)
		skip();
	assert_int_equal(image_from_path(path, &image), 0);
	return image;
}

/* Whether somebody holds the lock of image "a", also shared; takes none itself. */
static int is_locked(const struct scratch *s)
{
	return lock_is_held_at(s->fd, ".#a.lck");
}

static void test_exclusive_and_shared(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = find(s, "a");
	struct image_lock one = IMAGE_LOCK_NONE, two = IMAGE_LOCK_NONE;

	assert_int_equal(is_locked(s), 0);
	assert_int_equal(image_lock(image, false, &one), 0);
	assert_true(exists(s->fd, ".#a.lck"));
	assert_int_equal(is_locked(s), 1);
	assert_int_equal(image_lock(image, false, &two), -EBUSY);
	assert_int_equal(image_lock(image, true, &two), -EBUSY);
	image_lock_release(&one);
	assert_false(exists(s->fd, ".#a.lck"));

	assert_int_equal(image_lock(image, true, &one), 0);
	assert_int_equal(image_lock(image, true, &two), 0);
	image_lock_release(&one);
	assert_true(exists(s->fd, ".#a.lck"));
	assert_int_equal(is_locked(s), 1);
	image_lock_release(&two);
	assert_false(exists(s->fd, ".#a.lck"));
	assert_int_equal(is_locked(s), 0);
}

/* security row: P13, S02 */
static void test_rename_is_no_way_around(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = find(s, "a"), *renamed = NULL;
	auto_image_lock struct image_lock lock = IMAGE_LOCK_NONE;
	struct image_lock other;

	assert_int_equal(image_lock(image, false, &lock), 0);
	assert_int_equal(renameat(s->fd, "a", s->fd, "b"), 0);
	renamed = find(s, "b");
	assert_int_equal(image_lock(renamed, false, &other), -EBUSY);
	assert_false(exists(s->fd, ".#b.lck"));
}

/* security row: S02 */
static void test_death_frees(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = find(s, "a");
	auto_image_lock struct image_lock lock = IMAGE_LOCK_NONE;
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (image_lock(image, false, &lock) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	assert_int_equal(is_locked(s), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(is_locked(s), 0);
	/* Lock files of dead processes don't matter. */
	assert_int_equal(image_lock(image, false, &lock), 0);
}

/* A tree that nspawn accepts as a system, with `init` as its only program. */
static void make_system(const struct scratch *s)
{
	static const char *const dirs[] = {"a/usr", "a/etc",  "a/bin", "a/dev", "a/proc",
					   "a/sys", "a/root", "a/run", "a/tmp", "a/var"};
	autofree char *copy = str_printf("cp /bin/busybox %s/a/bin/busybox", s->path);

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(s->fd, dirs[i], 0755), 0);
	write_file(s->fd, "a/etc/os-release", "ID=test\n");
	if (access("/usr/bin/systemd-nspawn", X_OK) < 0 || system(copy) != 0)
		skip();
}

static pid_t start_nspawn(const struct scratch *s, const char *seconds)
{
	autofree char *path = str_printf("%s/a", s->path);
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		(void)dup2(null, 0);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execl("/usr/bin/systemd-nspawn", "systemd-nspawn", "-q", "--register=no",
			    "--keep-unit", "-D", path, "/bin/busybox", "sleep", seconds, NULL);
		_exit(127);
	}
	return pid;
}

/* security row: S02 */
static void test_nspawn_keeps_us_out(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = find(s, "a");
	struct image_lock lock;
	int status, locked = 0;
	pid_t pid;

	make_system(s);
	pid = start_nspawn(s, "1000");
	for (int i = 0; i < 300 && locked == 0; i++) {
		(void)usleep(10000);
		locked = is_locked(s);
	}
	assert_int_equal(locked, 1);
	assert_int_equal(image_lock(image, false, &lock), -EBUSY);
	(void)kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(is_locked(s), 0);
}

/* security row: S02 */
static void test_we_keep_nspawn_out(void **state)
{
	struct scratch *s = *state;
	autoimage struct image *image = find(s, "a");
	auto_image_lock struct image_lock lock = IMAGE_LOCK_NONE;
	int status;
	pid_t pid;

	make_system(s);
	assert_int_equal(image_lock(image, false, &lock), 0);
	pid = start_nspawn(s, "0");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	image_lock_release(&lock);
	pid = start_nspawn(s, "0");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define lock_test(fn) cmocka_unit_test_setup_teardown(fn, setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lock_test(test_exclusive_and_shared), lock_test(test_rename_is_no_way_around),
		lock_test(test_death_frees),	      lock_test(test_nspawn_keeps_us_out),
		lock_test(test_we_keep_nspawn_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
