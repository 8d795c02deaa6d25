/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths as text; resolving and creating paths beneath a root. */
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "check.h"
#include "lib/path.h"
#include "lib/str.h"

static const struct path_making ours = {0, 0};

static struct path_making me(void)
{
	return (struct path_making){geteuid(), getegid()};
}

static void test_normalized(void **state)
{
	static const char *const yes[] = {"/", "/a", "/a/b", "/...", "/.a/..b"};
	static const char *const no[] = {"",	  "a",	    "./a",   "//",    "//a", "/a/",
					 "/a//b", "/a/./b", "/a/..", "/../a", "/a/."};
	char longest[PATH_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(path_is_normalized(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(path_is_normalized(no[i]));
	memset(longest, 'a', PATH_MAX);
	longest[0] = '/';
	longest[PATH_MAX - 1] = '\0';
	assert_true(path_is_normalized(longest));
	longest[PATH_MAX - 1] = 'a';
	longest[PATH_MAX] = '\0';
	assert_false(path_is_normalized(longest));
}

static void test_simplify(void **state)
{
	static const char *const rows[][2] = {
		{"", ""},
		{"/", "/"},
		{"//", "/"},
		{".", "."},
		{"./", "."},
		{"./.", "."},
		{"a", "a"},
		{"a/", "a"},
		{"./a", "a"},
		{"a//b/./c/", "a/b/c"},
		{"//a", "/a"},
		{"/./a/.", "/a"},
		{"/a/../b", "/a/../b"},
		{"..", ".."},
		{"../.", ".."},
		{"/..", "/.."},
		{"...", "..."},
		{".a", ".a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *simple = path_simplify(rows[i][0]);

		assert_string_equal(simple, rows[i][1]);
	}
}

static void test_make_absolute(void **state)
{
	struct scratch *s = *state;
	autofree char *path = NULL, *before = getcwd(NULL, 0), *expected = NULL, *old = NULL;
	char *none = NULL;

	assert_int_equal(path_make_absolute("//a/./b", &old), 0);
	assert_string_equal(old, "/a/b");
	assert_int_equal(path_make_absolute("", &none), -EINVAL);
	assert_int_equal(chdir(s->path), 0);
	assert_int_equal(path_make_absolute("./x//y/", &path), 0);
	expected = str_printf("%s/x/y", s->path);
	assert_string_equal(path, expected);
	assert_int_equal(mkdir("gone", 0755), 0);
	assert_int_equal(chdir("gone"), 0);
	assert_int_equal(unlinkat(s->fd, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(path_make_absolute("x", &none), -ENOENT);
	assert_null(none);
	assert_int_equal(chdir(before), 0);
}

static void test_names(void **state)
{
	char longest[NAME_MAX + 2];

	assert_string_equal(path_last("/a/b"), "b");
	assert_string_equal(path_last("b"), "b");
	assert_string_equal(path_last("/a/"), "");
	assert_true(path_is_absolute("/a") && !path_is_absolute("a") && !path_is_absolute(""));
	assert_true(path_name_is_valid("a") && path_name_is_valid("...") &&
		    path_name_is_valid(".a b") && path_name_is_valid("caf\xc3\xa9"));
	assert_false(path_name_is_valid("") || path_name_is_valid(".") || path_name_is_valid(".."));
	assert_false(path_name_is_valid("a/b") || path_name_is_valid("/") ||
		     path_name_is_valid("a\nb") || path_name_is_valid("a\x7f"));
	memset(longest, 'a', sizeof(longest));
	longest[NAME_MAX] = '\0';
	assert_true(path_name_is_valid(longest));
	longest[NAME_MAX] = 'a';
	longest[NAME_MAX + 1] = '\0';
	assert_false(path_name_is_valid(longest));
}

/* scratch/root is the image, scratch/outside the host. */
static int make_tree(struct scratch *s)
{
	int root;

	assert_int_equal(mkdirat(s->fd, "root", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "outside", 0755), 0);
	write_file(s->fd, "outside/canary", "alive");
	root = openat(s->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	assert_int_equal(mkdirat(root, "etc", 0755), 0);
	write_file(root, "etc/os-release", "ID=test\n");
	assert_int_equal(symlinkat("/etc/os-release", root, "absolute"), 0);
	assert_int_equal(symlinkat("../../../etc/os-release", root, "etc/climbing"), 0);
	assert_int_equal(symlinkat("../outside/canary", root, "out"), 0);
	assert_int_equal(symlinkat("loop", root, "loop"), 0);
	assert_int_equal(symlinkat("nowhere/at/all", root, "dangling"), 0);
	assert_int_equal(symlinkat("etc", root, "link-to-etc"), 0);
	return root;
}

static void check_read(int root, const char *path, const char *expected)
{
	autofree char *text = NULL;

	assert_int_equal(path_read_in_root(root, path, 100, &text, NULL), 0);
	assert_string_equal(text, expected);
}

static void test_resolve(void **state)
{
	autoclose int root = make_tree(*state);
	autoclose int fd = -1;

	check_read(root, "etc/os-release", "ID=test\n");
	check_read(root, "/etc/os-release", "ID=test\n");
	check_read(root, "/../../etc/os-release", "ID=test\n");
	check_read(root, "absolute", "ID=test\n");
	check_read(root, "etc/climbing", "ID=test\n");
	check_read(root, "link-to-etc/os-release", "ID=test\n");
	assert_int_equal(path_open_in_root(root, "out", O_RDONLY), -ENOENT);
	assert_int_equal(path_open_in_root(root, "loop", O_RDONLY), -ELOOP);
	assert_int_equal(path_open_in_root(root, "", O_RDONLY), -ENOENT);
	assert_int_equal(path_open_in_root(root, "etc/os-release/x", O_RDONLY), -ENOTDIR);
	fd = path_open_in_root(root, "etc/new", O_WRONLY | O_CREAT | O_EXCL);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void test_magic_links_are_refused(void **state)
{
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(path_open_in_root(proc, "self/root/etc/passwd", O_RDONLY), -ELOOP);
	assert_int_equal(path_open_in_root(proc, "self/exe", O_RDONLY), -ELOOP);
}

static void test_beneath(void **state)
{
	autoclose int root = make_tree(*state);
	autoclose int fd = path_open_beneath(root, "etc/os-release", O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(path_open_beneath(root, "/etc/os-release", O_RDONLY), -EXDEV);
	assert_int_equal(path_open_beneath(root, "../outside/canary", O_RDONLY), -EXDEV);
	assert_int_equal(path_open_beneath(root, "link-to-etc/os-release", O_RDONLY), -ELOOP);
	assert_int_equal(path_open_beneath(root, "absolute", O_RDONLY), -ELOOP);
}

static void make_socket(int root, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", root,
		       name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void test_read_kinds(void **state)
{
	autoclose int root = make_tree(*state);
	char *text = NULL;

	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	make_socket(root, "socket");
	if (geteuid() == 0)
		assert_int_equal(mknodat(root, "device", S_IFCHR | 0600, makedev(1, 5)), 0);
	assert_int_equal(path_read_in_root(root, "fifo", 10, &text, NULL), -EBADFD);
	assert_int_equal(path_read_in_root(root, "socket", 10, &text, NULL), -EBADFD);
	assert_int_equal(path_read_in_root(root, "etc", 10, &text, NULL), -EBADFD);
	if (geteuid() == 0)
		assert_int_equal(path_read_in_root(root, "device", 10, &text, NULL), -EBADFD);
	assert_int_equal(path_read_in_root(root, "out", 10, &text, NULL), -ENOENT);
	assert_int_equal(path_read_in_root(root, "etc/os-release", 7, &text, NULL), -EFBIG);
	assert_null(text);
}

static void test_make_dir(void **state)
{
	autoclose int root = make_tree(*state);
	mode_t mask = umask(077);
	autoclose int fd = path_make_dir_in_root(root, "/a//b/./c/", me());
	autoclose int again = path_make_dir_in_root(root, "a/b/c", me());
	autoclose int linked = path_make_dir_in_root(root, "link-to-etc/x/../y", me());
	autoclose int top = path_make_dir_in_root(root, "/", me());
	autoclose int above = path_make_dir_in_root(root, "../../new", me());

	(void)umask(mask);
	assert_true(fd >= 0 && again >= 0 && linked >= 0 && top >= 0 && above >= 0);
	assert_int_equal(mode_of(root, "a") & 07777, 0755);
	assert_int_equal(mode_of(root, "a/b/c") & 07777, 0755);
	assert_true(exists(root, "etc/x") && exists(root, "etc/y") && exists(root, "new"));
}

static void test_make_dir_refusals(void **state)
{
	struct scratch *s = *state;
	autoclose int root = make_tree(s);

	assert_int_equal(path_make_dir_in_root(root, "", me()), -ENOENT);
	assert_int_equal(path_make_dir_in_root(root, "dangling", me()), -ENOENT);
	assert_int_equal(path_make_dir_in_root(root, "dangling/x", me()), -ENOENT);
	assert_int_equal(path_make_dir_in_root(root, "loop/x", me()), -ELOOP);
	assert_int_equal(path_make_dir_in_root(root, "etc/os-release", me()), -ENOTDIR);
	assert_int_equal(path_make_dir_in_root(root, "absolute/x", me()), -ENOTDIR);
	assert_int_equal(path_make_dir_in_root(root, "out/x", me()), -ENOENT);
	assert_int_equal(path_make_dir_in_root(-1, "x", me()), -EBADF);
	assert_false(exists(root, "nowhere") || exists(s->fd, "outside/x"));
}

static void test_make_file(void **state)
{
	autoclose int root = make_tree(*state);
	autoclose int fd = path_make_file_in_root(root, "/var/lib/x", me());
	autoclose int there = path_make_file_in_root(root, "absolute", me());

	assert_true(fd >= 0 && there >= 0);
	assert_int_equal(mode_of(root, "var/lib/x"), S_IFREG | 0644);
	assert_int_equal(path_make_file_in_root(root, "etc", me()), -EISDIR);
	assert_int_equal(path_make_file_in_root(root, "new/", me()), -EINVAL);
	assert_int_equal(path_make_file_in_root(root, "dangling", me()), -ENOENT);
	assert_int_equal(path_make_file_in_root(root, "etc/os-release/x", me()), -ENOTDIR);
	check_read(root, "absolute", "ID=test\n");
	assert_false(exists(root, "nowhere"));
}

static void test_owner(void **state)
{
	autoclose int root = make_tree(*state);
	struct path_making other = {1234567, 7654321};
	autoclose int dir = -1, file = -1;
	struct stat st;

	if (geteuid() != 0)
		skip();
	dir = path_make_dir_in_root(root, "p/q", other);
	file = path_make_file_in_root(root, "p/q/f", other);
	assert_true(dir >= 0 && file >= 0);
	assert_int_equal(fstatat(root, "p", &st, 0), 0);
	assert_true(st.st_uid == other.uid && st.st_gid == other.gid);
	assert_int_equal(fstat(dir, &st), 0);
	assert_true(st.st_uid == other.uid && st.st_gid == other.gid);
	assert_int_equal(fstat(file, &st), 0);
	assert_true(st.st_uid == other.uid && st.st_gid == other.gid);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* What was there before keeps its owner. */
	(void)close(take_fd(&dir));
	dir = path_make_dir_in_root(root, "etc", other);
	assert_int_equal(fstat(dir, &st), 0);
	assert_int_equal(st.st_uid, ours.uid);
}

/* security row: P14 */
static void test_one_mount(void **state)
{
	autoclose int before = make_tree(*state);
	autoclose int root = -1;
	struct path_making here = {.uid = ours.uid, .gid = ours.gid, .one_mount = true};
	autoclose int over = -1, made = -1, file = -1;
	char place[PATH_MAX], self[32], *name;
	ssize_t n;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	/* Open it again: nothing can be mounted on a descriptor from the previous mount namespace.
	 */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", before);
	n = readlink(self, place, sizeof(place) - 1);
	assert_true(n > 0);
	place[n] = '\0';
	assert_int_equal(chdir(place), 0);
	root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(root, "mounted", 0755), 0);
	assert_int_equal(symlinkat("/mounted", root, "link-to-mounted"), 0);
	assert_int_equal(mount("x", "mounted", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdirat(root, "mounted/there", 0755), 0);
	for (int i = 0; i < 2; i++) {
		const char *const paths[][2] = {{"mounted/new/x", "link-to-mounted/new/x"},
						{"mounted/there", "etc/../link-to-mounted/there"}};

		for (int j = 0; j < 2; j++) {
			const char *path = paths[j][i];

			assert_int_equal(path_make_dir_in_root(root, path, here), -EXDEV);
			assert_int_equal(path_make_file_in_root(root, path, here), -EXDEV);
		}
	}
	assert_int_equal(path_open_parent_in_root(root, "mounted/x", false, here, &name), -EXDEV);
	assert_int_equal(path_open_parent_in_root(root, "mounted/x/y", true, here, &name), -EXDEV);
	assert_false(exists(root, "mounted/new") || exists(root, "mounted/x"));
	made = path_make_dir_in_root(root, "/etc/on/the/tree", here);
	file = path_make_file_in_root(root, "link-to-etc/a/file", here);
	assert_true(made >= 0 && file >= 0 && exists(root, "etc/a/file"));
	here.one_mount = false;
	over = path_make_dir_in_root(root, "link-to-mounted/new", here);
	assert_true(over >= 0 && exists(root, "mounted/new"));
	assert_int_equal(umount2("mounted", MNT_DETACH), 0);
	assert_int_equal(chdir("/"), 0);
}

static void test_open_parent(void **state)
{
	static const char *const refused[] = {"", "/", "//", ".", "..", "a/..", "a/.", "a/", "/.."};
	autoclose int root = make_tree(*state);
	autoclose int parent = -1, made = -1, top = -1;
	char *name = NULL;

	parent = path_open_parent_in_root(root, "/etc/os-release", false, me(), &name);
	assert_true(parent >= 0);
	assert_string_equal(name, "os-release");
	assert_true(exists(parent, name));
	top = path_open_parent_in_root(root, "x", false, me(), &name);
	assert_true(top >= 0 && exists(top, "etc"));
	assert_int_equal(path_open_parent_in_root(root, "n/m/x", false, me(), &name), -ENOENT);
	made = path_open_parent_in_root(root, "n/m/x", true, me(), &name);
	assert_true(made >= 0 && exists(root, "n/m") && !exists(root, "n/m/x"));
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(path_open_parent_in_root(root, refused[i], true, me(), &name),
				 -EINVAL);
	assert_string_equal(name, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalized), cmocka_unit_test(test_simplify),
		scratch_test(test_make_absolute),  cmocka_unit_test(test_names),
		scratch_test(test_resolve),	   scratch_test(test_magic_links_are_refused),
		scratch_test(test_beneath),	   scratch_test(test_read_kinds),
		scratch_test(test_make_dir),	   scratch_test(test_make_dir_refusals),
		scratch_test(test_make_file),	   scratch_test(test_owner),
		scratch_test(test_one_mount),	   scratch_test(test_open_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
