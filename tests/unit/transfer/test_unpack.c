/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacking of archives that are written here block by block: which entry wins, what counts as used
 * disk, and that deferred metadata takes neither more memory nor more time with repeated entries.
 */
#include <sys/mman.h>
#include <sys/xattr.h>

#include "check.h"
#include "lib/str.h"
#include "transfer/import/deferred.h"
#include "transfer/import/unpack.h"

#define BLOCK 512

struct tar {
	struct buf bytes;
};

static void tar_done(struct tar *t)
{
	buf_done(&t->bytes);
}

#define autotar autocall(tar_done)

static void tar_add(struct tar *t, const void *data, size_t size)
{
	static const char zeros[BLOCK];

	buf_add(&t->bytes, data, size);
	buf_add(&t->bytes, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

struct entry {
	const char *name, *link, *data;
	char type; /* of ustar */
	unsigned mode, uid;
	size_t size; /* the length of data that is no string */
};

static void tar_entry(struct tar *t, struct entry e)
{
	size_t size = e.size ? e.size : e.data ? strlen(e.data) : 0;
	char head[BLOCK] = {};
	unsigned sum = 8 * ' ';

	(void)snprintf(head, 100, "%s", e.name);
	(void)snprintf(head + 100, 8, "%07o", (e.mode ? e.mode : 0755) & 07777);
	(void)snprintf(head + 108, 8, "%07o", e.uid & 07777);
	(void)snprintf(head + 116, 8, "%07o", e.uid & 07777);
	(void)snprintf(head + 124, 12, "%011zo", size);
	(void)snprintf(head + 136, 12, "%011o", 1000);
	head[156] = e.type;
	(void)snprintf(head + 157, 100, "%s", e.link ? e.link : "");
	memcpy(head + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? 0 : (unsigned char)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum);
	tar_add(t, head, sizeof(head));
	tar_add(t, e.data, size);
}

/* A pax header with one record. */
static void tar_pax(struct tar *t, const char *key, const char *value)
{
	size_t body = strlen(key) + strlen(value) + 3, length = body + 1;
	autofree char *record = NULL;

	while ((size_t)snprintf(NULL, 0, "%zu", length) + body != length)
		length = (size_t)snprintf(NULL, 0, "%zu", length) + body;
	record = str_printf("%zu %s=%s\n", length, key, value);
	assert_non_null(record);
	tar_entry(t, (struct entry){.name = "pax", .type = 'x', .data = record});
}

static const struct quota no_limit = {.bytes_max = QUOTA_UNLIMITED, .inodes_max = QUOTA_UNLIMITED};

static int unpack(const struct scratch *s, struct tar *t, const struct quota *room,
		  struct failure *failure)
{
	const struct unpack_options options = {.root_fd = s->fd, .quota = *room};
	struct transfer_stats stats = {};
	static const char end[2 * BLOCK];
	autoclose int fd = memfd_create("tar", MFD_CLOEXEC);
	struct decoder *decode = NULL;
	struct source source;
	int r;

	if (geteuid() != 0)
		skip();
	tar_add(t, end, sizeof(end));
	*failure = (struct failure){};
	assert_int_equal(write(fd, t->bytes.data, t->bytes.size), t->bytes.size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(source_open(&source, fd, NULL), 0);
	assert_int_equal(decoder_start(&source, failure, &decode), 0);
	r = unpack_tree(decode, &options, &stats, failure);
	decoder_free(decode);
	source_done(&source);
	return r;
}

static void unpacks(const struct scratch *s, struct tar *t)
{
	struct failure failure;

	if (unpack(s, t, &no_limit, &failure) < 0)
		fail_msg("%s", failure.what);
}

static struct stat stat_of(const struct scratch *s, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void tar_system(struct tar *t)
{
	tar_entry(t, (struct entry){.name = "etc/", .type = '5'});
	tar_entry(t, (struct entry){.name = "usr/", .type = '5'});
}

static void test_last_entry_wins(void **state)
{
	struct scratch *s = *state;
	autotar struct tar t = {};

	tar_system(&t);
	/* Directory, file, directory: the third must not get the first one's record. */
	tar_entry(&t, (struct entry){.name = "d/", .type = '5', .mode = 0700, .uid = 7});
	tar_entry(&t, (struct entry){.name = "d", .type = '0', .mode = 0600, .uid = 8});
	tar_entry(&t, (struct entry){.name = "d/", .type = '5', .mode = 0755});
	/* The same directory again; an implicit parent; a file that replaces an immutable one. */
	tar_entry(&t, (struct entry){.name = "e/", .type = '5', .mode = 0700, .uid = 7});
	tar_entry(&t, (struct entry){.name = "e/", .type = '5', .mode = 0751, .uid = 9});
	tar_entry(&t, (struct entry){.name = "p/q/f", .type = '0', .mode = 0644});
	tar_entry(&t, (struct entry){.name = "p/", .type = '5', .mode = 0711, .uid = 5});
	tar_pax(&t, "SCHILY.fflags", "immutable");
	tar_entry(&t, (struct entry){.name = "f", .type = '0', .data = "first"});
	tar_entry(&t, (struct entry){.name = "f", .type = '0', .data = "second", .mode = 0640});
	unpacks(s, &t);
	assert_int_equal(stat_of(s, "d").st_mode, S_IFDIR | 0755);
	assert_int_equal(stat_of(s, "d").st_uid, 0);
	assert_int_equal(stat_of(s, "e").st_mode, S_IFDIR | 0751);
	assert_int_equal(stat_of(s, "e").st_uid, 9);
	assert_int_equal(stat_of(s, "p").st_mode, S_IFDIR | 0711);
	assert_int_equal(stat_of(s, "p").st_uid, 5);
	assert_int_equal(stat_of(s, "p/q").st_mode, S_IFDIR | 0755);
	assert_int_equal(stat_of(s, "f").st_mode, S_IFREG | 0640);
	assert_int_equal(stat_of(s, "f").st_size, 6);
	/* Directories keep their times, although files were added later. */
	assert_int_equal(stat_of(s, "p").st_mtime, 1000);
	assert_int_equal(unlinkat(s->fd, "f", 0), 0);
}

static void test_attributes_of_a_repeated_directory(void **state)
{
	struct scratch *s = *state;
	autotar struct tar t = {};
	char value[8] = "";

	tar_system(&t);
	tar_pax(&t, "SCHILY.xattr.user.a", "one");
	tar_entry(&t, (struct entry){.name = "d/", .type = '5'});
	tar_pax(&t, "SCHILY.xattr.user.a", "two");
	tar_entry(&t, (struct entry){.name = "d/", .type = '5'});
	unpacks(s, &t);
	{
		autoclose int fd = openat(s->fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fgetxattr(fd, "user.a", value, sizeof(value)) < 0 && errno == EOPNOTSUPP)
			skip();
	}
	assert_string_equal(value, "two");
}

static void refused(const struct scratch *s, struct tar *t, struct quota room, const char *says)
{
	struct failure failure;

	assert_int_equal(unpack(s, t, &room, &failure), -ENOSPC);
	assert_non_null(strstr(failure.what, says));
	assert_non_null(strstr(failure.hint, "--max-size"));
}

/* security row: A24 */
static void test_disk_is_bounded(void **state)
{
	static char data[64 * 1024];
	struct quota room = {.bytes_max = 100 * 1024, .inodes_max = 100};
	struct scratch *s = *state;
	autotar struct tar big = {}, many = {}, deep = {}, wide = {};
	autofree char *value = malloc(60001);

	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 3; i++)
		tar_entry(&big,
			  (struct entry){
				  .name = "f", .type = '0', .data = data, .size = sizeof(data)});
	refused(s, &big, room, "bytes");
	for (int i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		tar_entry(&many, (struct entry){.name = name, .type = '0'});
	}
	refused(s, &many, room, "files");
	/* Implicit parents use inodes, too. */
	tar_pax(&deep, "path",
		"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/x");
	tar_entry(&deep, (struct entry){.name = "x", .type = '0'});
	room.inodes_max = 20;
	refused(s, &deep, room, "files");
	/* Extended attributes use bytes, too. */
	assert_non_null(value);
	memset(value, 'v', 60000);
	value[60000] = '\0';
	tar_pax(&wide, "SCHILY.xattr.user.v", value);
	tar_entry(&wide, (struct entry){.name = "w", .type = '5'});
	room = (struct quota){.bytes_max = 50000, .inodes_max = 100};
	refused(s, &wide, room, "bytes");
}

static void test_room(void **state)
{
	struct quota r = quota_of_file_system(1000 * QUOTA_BLOCK, 2000 * QUOTA_BLOCK, 500, 1000);

	/* A twentieth stays free, on large disks at most 1 GiB. */
	assert_int_equal(r.bytes_max, 900 * QUOTA_BLOCK);
	assert_int_equal(r.inodes_max, 450);
	assert_int_equal(quota_of_file_system(UINT64_C(1) << 41, UINT64_C(1) << 42, 0, 0).bytes_max,
			 (UINT64_C(1) << 41) - (UINT64_C(1) << 30));
	assert_int_equal(quota_of_file_system(1, 100, 0, 0).bytes_max, 0);
	assert_int_equal(quota_of_file_system(1, 1, 0, 0).inodes_max, QUOTA_UNLIMITED);
	/* Small pieces of one block count once; a piece in each block counts a block each. */
	assert_int_equal(quota_take_inode(&r, 0), 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(quota_take_data(&r, i * 512, 512), 0);
	assert_int_equal(r.bytes, QUOTA_BLOCK);
	for (uint64_t i = 1; i < 9; i++)
		assert_int_equal(quota_take_data(&r, i * 2 * QUOTA_BLOCK, 1), 0);
	assert_int_equal(r.bytes, 9 * QUOTA_BLOCK);
	assert_int_equal(quota_take_data(&r, 0, 900 * QUOTA_BLOCK), -ENOSPC);
	assert_int_equal(r.bytes, 9 * QUOTA_BLOCK);
	assert_int_equal(quota_take_data(&r, UINT64_MAX - 1, 1), 0);
}

static int put_with_attribute(struct deferred *l, uint64_t ino, size_t size)
{
	struct metadata meta = {.xattrs = calloc(1, sizeof(struct xattr)), .xattr_count = 1};
	int r;

	assert_non_null(meta.xattrs);
	meta.xattrs[0] =
		(struct xattr){.name = strdup("user.a"), .value = malloc(size), .size = size};
	assert_non_null(meta.xattrs[0].name);
	assert_non_null(meta.xattrs[0].value);
	r = deferred_add_directory(l, ino, "d", &meta, true);
	metadata_done(&meta);
	return r;
}

/* security row: A25 */
static void test_what_waits_is_bounded(void **state)
{
	struct deferred l = {};
	uint64_t one;
	int r = 0;

	assert_int_equal(put_with_attribute(&l, 1, 60000), 0);
	one = l.records.bytes;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(put_with_attribute(&l, 1, 60000), 0);
	assert_int_equal(l.records.count, 1);
	assert_int_equal(l.records.bytes, one);
	for (uint64_t ino = 2; r == 0; ino++)
		r = put_with_attribute(&l, ino, 60000);
	assert_int_equal(r, -E2BIG);
	assert_true(l.records.bytes <= INODE_MAP_BYTES_MAX);
	assert_true(l.records.bytes > INODE_MAP_BYTES_MAX - 2 * one);
	deferred_done(&l);
}

/* Compared with a plain array: insertions, replacements and removals in random order. */
static void test_records_by_inode(void **state)
{
	enum { INODES = 3000, STEPS = 60000 };
	static unsigned modes[INODES]; /* 1 + mode; 0: none */
	struct deferred l = {};
	uint32_t random = 1;
	size_t count = 0;

	for (unsigned i = 0; i < STEPS; i++) {
		struct metadata meta = {.mode = i & 07777};
		unsigned ino;

		random = random * 1664525 + 1013904223;
		ino = (random >> 8) % INODES;
		if (random >> 31) {
			deferred_forget(&l, ino + 1);
			count -= modes[ino] != 0;
			modes[ino] = 0;
			continue;
		}
		assert_int_equal(deferred_add_directory(&l, ino + 1, "", &meta, false), 0);
		count += modes[ino] == 0;
		modes[ino] = 1 + meta.mode;
	}
	assert_int_equal(l.records.count, count);
	for (unsigned ino = 0; ino < INODES; ino++) {
		const struct inode_record *item = inode_map_find(&l.records, ino + 1);

		assert_int_equal(item ? 1 + item->metadata.mode : 0, modes[ino]);
	}
	for (unsigned ino = 0; ino < INODES; ino++)
		deferred_forget(&l, ino + 1);
	assert_int_equal(l.records.count, 0);
	assert_int_equal(l.records.bytes, 0);
	deferred_done(&l);
}

static void test_ways_out(void **state)
{
	static const struct entry odd[] = {
		{.name = "../x", .type = '0'},
		{.name = "etc/../../x", .type = '5'},
		{.name = "link/x", .type = '0'},
		{.name = "hard", .type = '1', .link = "../outside"},
		{.name = "hard", .type = '1', .link = "link/passwd"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		autotar struct tar t = {};
		struct failure failure;

		tar_system(&t);
		tar_entry(&t, (struct entry){.name = "link", .type = '2', .link = "/etc"});
		tar_entry(&t, odd[i]);
		assert_true(unpack(*state, &t, &no_limit, &failure) < 0);
		assert_true(failure.what[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_last_entry_wins),
		scratch_test(test_attributes_of_a_repeated_directory),
		scratch_test(test_disk_is_bounded),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_what_waits_is_bounded),
		cmocka_unit_test(test_records_by_inode),
		scratch_test(test_ways_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
