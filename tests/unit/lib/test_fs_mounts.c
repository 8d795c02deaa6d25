/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removal and mounts (S12): a tree with a mount is refused, and the mount's content stays. Also
 * btrfs subvolumes. Each test runs in a child with a mount namespace of its own; needs root.
 */
#include <linux/btrfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "check.h"
#include "lib/str.h"

/* Runs fn in a forked child whose mounts nobody else sees. A failed assertion there is a failure
 * here. */
static void in_private_mounts(struct scratch *s, void (*fn)(struct scratch *))
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(77);
		/* The old descriptor leads to the parent's mounts, without those of this namespace.
		 */
		s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fn(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* For the child: cmocka's assertions would continue with the parent's tests. */
#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition,           \
				      strerror(errno));                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void put(int dirfd, const char *path)
{
	autoclose int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	REQUIRE(fd >= 0);
}

static void mount_tmpfs(struct scratch *s, const char *name)
{
	autofree char *path = str_printf("%s/%s", s->path, name);

	REQUIRE(mount("tmpfs", path, "tmpfs", 0, NULL) == 0);
}

static void mount_in_tree(struct scratch *s)
{
	uint64_t bytes = 0;

	REQUIRE(mkdirat(s->fd, "t", 0755) == 0 && mkdirat(s->fd, "t/m", 0755) == 0);
	mount_tmpfs(s, "t/m");
	put(s->fd, "t/m/canary");
	REQUIRE(fs_usage_at(s->fd, "t", &bytes) == 0);
	REQUIRE(fs_remove_tree_at(s->fd, "t") == -EXDEV);
	REQUIRE(exists(s->fd, "t/m/canary"));
}

static void mount_on_top(struct scratch *s)
{
	REQUIRE(mkdirat(s->fd, "t", 0755) == 0);
	mount_tmpfs(s, "t");
	put(s->fd, "t/canary");
	REQUIRE(fs_remove_tree_at(s->fd, "t") == -EXDEV);
	REQUIRE(exists(s->fd, "t/canary"));
}

/* A file system bound below itself has the same st_dev: only the mount id differs. */
static void bind_in_tree(struct scratch *s)
{
	autofree char *from = str_printf("%s/host", s->path), *to = str_printf("%s/t/m", s->path);

	REQUIRE(mkdirat(s->fd, "host", 0755) == 0 && mkdirat(s->fd, "t", 0755) == 0 &&
		mkdirat(s->fd, "t/m", 0755) == 0);
	put(s->fd, "host/canary");
	REQUIRE(mount(from, to, NULL, MS_BIND, NULL) == 0);
	REQUIRE(fs_remove_tree_at(s->fd, "t") == -EXDEV);
	REQUIRE(exists(s->fd, "host/canary"));
}

static void bind_of_file(struct scratch *s)
{
	autofree char *from = str_printf("%s/canary", s->path), *to = str_printf("%s/t/f", s->path);

	REQUIRE(mkdirat(s->fd, "t", 0755) == 0);
	put(s->fd, "canary");
	put(s->fd, "t/f");
	REQUIRE(mount(from, to, NULL, MS_BIND, NULL) == 0);
	REQUIRE(fs_remove_tree_at(s->fd, "t") == -EXDEV);
	REQUIRE(exists(s->fd, "canary") && exists(s->fd, "t/f"));
}

/* security row: S12 */
static void test_mount_in_tree(void **state)
{
	in_private_mounts(*state, mount_in_tree);
}

static void test_mount_on_top(void **state)
{
	in_private_mounts(*state, mount_on_top);
}

static void test_bind_in_tree(void **state)
{
	in_private_mounts(*state, bind_in_tree);
}

static void test_bind_of_file(void **state)
{
	in_private_mounts(*state, bind_of_file);
}

static void make_subvolume(int dirfd, const char *path, const char *name)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct btrfs_ioctl_vol_args args = {};

	(void)snprintf(args.name, sizeof(args.name), "%s", name);
	REQUIRE(fd >= 0 && ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args) == 0);
}

static void make_read_only(int dirfd, const char *path)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t flags = BTRFS_SUBVOL_RDONLY;

	REQUIRE(fd >= 0 && ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) == 0);
}

static void btrfs_subvolumes(struct scratch *s)
{
	autofree char *command = str_printf("cd '%s' && truncate -s 128M img && mkdir m && "
					    "mkfs.btrfs -q img >/dev/null 2>&1 && "
					    "mount -o loop img m 2>/dev/null",
					    s->path);

	/* The loop device is freed when this namespace ends, and with it the mount. */
	if (system(command) != 0)
		_exit(77);
	make_subvolume(s->fd, "m", "plain");
	put(s->fd, "m/plain/f");
	REQUIRE(fs_remove_tree_at(s->fd, "m/plain") == 0);
	REQUIRE(mkdirat(s->fd, "m/t", 0755) == 0);
	make_subvolume(s->fd, "m/t", "outer");
	REQUIRE(mkdirat(s->fd, "m/t/outer/dir", 0755) == 0);
	make_subvolume(s->fd, "m/t/outer/dir", "inner");
	put(s->fd, "m/t/outer/dir/inner/f");
	make_read_only(s->fd, "m/t/outer/dir/inner");
	make_read_only(s->fd, "m/t/outer");
	REQUIRE(fs_remove_tree_at(s->fd, "m/t") == 0);
	REQUIRE(!exists(s->fd, "m/t") && !exists(s->fd, "m/plain"));
}

static void test_btrfs_subvolumes(void **state)
{
	in_private_mounts(*state, btrfs_subvolumes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_mount_in_tree),    scratch_test(test_mount_on_top),
		scratch_test(test_bind_in_tree),     scratch_test(test_bind_of_file),
		scratch_test(test_btrfs_subvolumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
