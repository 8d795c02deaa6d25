// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Compression in blocks: decompressing gives the input, for each format, number of threads and size
 * of writes; and the bytes are the same each time.
 */
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "check.h"
#include "lib/io.h"
#include "lib/str.h"
#include "transfer/pack/encode.h"

#define MIB ((size_t)1 << 20)
#define XZ_BLOCK (16 * MIB)

/* Compressible text with an incompressible part in its middle. */
static uint8_t *make_data(size_t size)
{
	uint8_t *data = malloc(size + 1);
	uint64_t x = 88172645463325252U;

	assert_non_null(data);
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if ((i > size / 3 && i < size / 2) || (x & 255) == 0)
			data[i] = (uint8_t)x;
		else
			data[i] = (uint8_t)(i % 61 + 'A');
	}
	return data;
}

static int encode(const struct scratch *s, const char *name, const struct encode_config *how,
		  const uint8_t *data, size_t size, size_t piece)
{
	autoclose int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct encode_config config = *how;
	struct encoder *e = NULL;
	int r;

	config.out_fd = fd;
	assert_int_equal(encoder_start(&config, &e), 0);
	for (size_t at = 0; at < size;) {
		size_t room;
		uint8_t *to = encoder_room(e, &room);

		if (!to)
			break;
		room = MIN(room, piece);
		room = MIN(room, size - at);
		memcpy(to, data + at, room);
		at += room;
		if (encoder_commit(e, room) < 0)
			break;
	}
	r = encoder_finish(e);
	encoder_free(e);
	return r;
}

static uint8_t *decode_xz(const char *in, size_t in_size, size_t *size)
{
	uint64_t limit = UINT64_MAX;
	size_t at = 0, out = 0;
	uint8_t *data = malloc(*size + 1);

	assert_int_equal(lzma_stream_buffer_decode(&limit, 0, NULL, (const uint8_t *)in, &at,
						   in_size, data, &out, *size + 1),
			 LZMA_OK);
	assert_int_equal(at, in_size);
	*size = out;
	return data;
}

static uint8_t *decode_zstd(const char *in, size_t in_size, size_t *size)
{
	uint8_t *data = malloc(*size + 1);
	size_t n = ZSTD_decompress(data, *size + 1, in, in_size);

	assert_false(ZSTD_isError(n));
	*size = n;
	return data;
}

static uint8_t *decode_gzip(const char *in, size_t in_size, size_t *size)
{
	uint8_t *data = malloc(*size + 1);
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)in_size};
	size_t room = *size + 1;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_out = data;
	z.avail_out = (uInt)room;
	while (z.avail_in > 0) {
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		(void)inflateReset(&z);
	}
	*size = room - z.avail_out;
	(void)inflateEnd(&z);
	return data;
}

static uint8_t *decode_none(const char *in, size_t in_size, size_t *size)
{
	uint8_t *data = malloc(in_size + 1);

	memcpy(data, in, in_size);
	*size = in_size;
	return data;
}

static const struct {
	enum encode_format format;
	uint32_t level;
	uint8_t *(*decode)(const char *in, size_t in_size, size_t *size);
} formats[] = {
	{ENCODE_XZ, 0, decode_xz},
	{ENCODE_ZSTD, 1, decode_zstd},
	{ENCODE_GZIP, 1, decode_gzip},
	{ENCODE_NONE, ENCODE_LEVEL_DEFAULT, decode_none},
};

static void check_round_trip(const struct scratch *s, size_t format, const uint8_t *data,
			     size_t size)
{
	autofree char *one = NULL, *many = NULL;
	autofree uint8_t *back = NULL;
	size_t one_size, many_size, back_size = size;
	struct encode_config config = {
		.format = formats[format].format, .level = formats[format].level, .threads = 1};

	assert_int_equal(encode(s, "one", &config, data, size, SIZE_MAX), 0);
	config.threads = 5;
	assert_int_equal(encode(s, "many", &config, data, size, 70001), 0);
	assert_int_equal(io_read_file_at(s->fd, "one", SIZE_MAX / 4, &one, &one_size), 0);
	assert_int_equal(io_read_file_at(s->fd, "many", SIZE_MAX / 4, &many, &many_size), 0);
	assert_int_equal(one_size, many_size);
	assert_memory_equal(one, many, one_size);
	back = formats[format].decode(one, one_size, &back_size);
	assert_int_equal(back_size, size);
	assert_memory_equal(back, data, size);
}

/* Sizes around the end of one and of several blocks. */
static void test_round_trips(void **state)
{
	static const struct {
		enum encode_format format;
		size_t block;
	} blocks[] = {{ENCODE_XZ, XZ_BLOCK},
		      {ENCODE_ZSTD, 16 * MIB},
		      {ENCODE_GZIP, 4 * MIB},
		      {ENCODE_NONE, MIB}};
	autofree uint8_t *data = make_data(2 * XZ_BLOCK);

	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		assert_true(formats[i].format == blocks[i].format);
		check_round_trip(*state, i, data, 0);
		check_round_trip(*state, i, data, 1);
		check_round_trip(*state, i, data, blocks[i].block);
		check_round_trip(*state, i, data, blocks[i].block + 12345);
	}
	for (size_t i = 2; i < ARRAY_SIZE(blocks); i++)
		check_round_trip(*state, i, data, 3 * blocks[i].block + 1);
}

/* Incompressible data is stored and still readable; such an xz block has its own form. */
static void test_incompressible(void **state)
{
	autofree uint8_t *data = make_data(2 * XZ_BLOCK);

	for (size_t format = 0; format < ARRAY_SIZE(formats); format++)
		check_round_trip(*state, format, data + 2 * XZ_BLOCK / 3 + MIB, 4 * MIB);
}

/* So that a reader can decode blocks in parallel. */
static void test_xz_sizes_in_headers(void **state)
{
	const struct scratch *s = *state;
	const struct encode_config config = {.format = ENCODE_XZ, .level = 0, .threads = 2};
	autofree uint8_t *data = make_data(XZ_BLOCK + 5);
	autofree char *out = NULL;
	size_t size;

	assert_int_equal(encode(s, "x", &config, data, XZ_BLOCK + 5, SIZE_MAX), 0);
	assert_int_equal(io_read_file_at(s->fd, "x", SIZE_MAX / 4, &out, &size), 0);
	/* Block flags: both sizes are present (0xc0), one filter (0). */
	assert_int_equal((uint8_t)out[LZMA_STREAM_HEADER_SIZE + 1], 0xc0);
}

static void test_full_disk(void **state)
{
	const struct encode_config base = {.format = ENCODE_NONE, .threads = 3};
	autofree uint8_t *data = make_data(8 * MIB);

	for (size_t format = 0; format < ARRAY_SIZE(formats); format++) {
		autoclose int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
		struct encode_config config = base;
		struct encoder *e = NULL;
		int r = 0;

		config.format = formats[format].format;
		config.level = formats[format].level;
		config.out_fd = full;
		r = encoder_start(&config, &e);
		for (size_t at = 0; at < 8 * MIB && r == 0;) {
			size_t room;
			uint8_t *to = encoder_room(e, &room);

			if (!to)
				break;
			room = MIN(room, 8 * MIB - at);
			memcpy(to, data + at, room);
			at += room;
			r = encoder_commit(e, room);
		}
		if (e) {
			r = encoder_finish(e);
			encoder_free(e);
		}
		assert_int_equal(r, -ENOSPC);
	}
}

static int cancel(void *userdata)
{
	return ++*(int *)userdata > 2 ? -ECANCELED : 0;
}

static void test_cancelled(void **state)
{
	autofree uint8_t *data = make_data(2 * XZ_BLOCK);
	int asked = 0;
	const struct encode_config config = {
		.format = ENCODE_XZ, .level = 6, .threads = 1, .tick = cancel, .userdata = &asked};

	assert_int_equal(encode(*state, "x", &config, data, 2 * XZ_BLOCK, SIZE_MAX), -ECANCELED);
}

/* Freed in the middle: it must not hang or leak. */
static void test_given_up(void **state)
{
	const struct scratch *s = *state;
	autoclose int fd = openat(s->fd, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	const struct encode_config config = {
		.format = ENCODE_XZ, .level = 6, .threads = 2, .out_fd = fd};
	struct encoder *e = NULL;
	size_t room;

	assert_int_equal(encoder_start(&config, &e), 0);
	for (int i = 0; i < 2; i++) {
		uint8_t *to = encoder_room(e, &room);

		memset(to, 'x', room);
		assert_int_equal(encoder_commit(e, room), 0);
	}
	assert_non_null(encoder_room(e, &room));
	encoder_free(e);
}

static void test_words(void **state)
{
	enum encode_format format;
	uint32_t level;

	assert_int_equal(encode_parse("xz", &format, &level), 0);
	assert_true(format == ENCODE_XZ && level == ENCODE_LEVEL_DEFAULT);
	assert_int_equal(encode_parse("zstd:19", &format, &level), 0);
	assert_true(format == ENCODE_ZSTD && level == 19);
	assert_int_equal(encode_parse("none", &format, &level), 0);
	assert_int_equal(encode_parse("xz:10", &format, &level), -ERANGE);
	assert_int_equal(encode_parse("none:1", &format, &level), -ERANGE);
	assert_int_equal(encode_parse("xz:", &format, &level), -ERANGE);
	assert_int_equal(encode_parse("x", &format, &level), -EINVAL);
	assert_int_equal(encode_parse("", &format, &level), -EINVAL);
	assert_int_equal(encode_format_from_name("a.tar.zst", &format), 0);
	assert_true(format == ENCODE_ZSTD);
	assert_int_equal(encode_format_from_name("a.tar", &format), 0);
	assert_true(format == ENCODE_NONE);
	assert_int_equal(encode_format_from_name("a.zip", &format), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_round_trips),		scratch_test(test_incompressible),
		scratch_test(test_xz_sizes_in_headers), scratch_test(test_full_disk),
		scratch_test(test_cancelled),		scratch_test(test_given_up),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("transfer/encode", tests, NULL, NULL);
}
