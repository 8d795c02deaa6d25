// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes headers and blocks of a GNU tar archive. Must never write anything that depends on the
 * host or the time. Runs in the packing process.
 */
#include "transfer/pack/tar_write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"

#define BLOCK 512
#define RECORD (20 * BLOCK)
#define MTIME 1
#define LONG_NAME_MODE 0644
#define LONG_NAME "././@LongLink"

struct header {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char target[100];
	char magic[8]; /* GNU tar's, including its version */
	char user[32], group[32];
	char device_major[8], device_minor[8];
	char rest[167];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

/* Writes octal digits and a NUL; larger numbers in base 256 with the first bit set. */
static void put_number(char *field, size_t width, uint64_t number)
{
	char digits[24];

	if (number >> (3 * (width - 1)) == 0) {
		(void)snprintf(digits, sizeof(digits), "%0*llo", (int)width - 1,
			       (unsigned long long)number);
		memcpy(field, digits, width);
		return;
	}
	for (size_t i = width; i-- > 1; number >>= 8)
		field[i] = (char)(number & 0xff);
	field[0] = (char)0x80;
}

static void put_checksum(struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;
	char digits[16];

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	/* Six digits and a NUL; the last byte stays blank. */
	(void)snprintf(digits, sizeof(digits), "%06o", sum);
	memcpy(h->checksum, digits, 7);
}

/* Copies as much as fits. A full field has no NUL. */
static void put_text(char *field, size_t width, const char *text)
{
	memcpy(field, text, MIN(width, strlen(text)));
}

struct fields {
	const char *name, *target;
	char type;
	mode_t mode;
	uint64_t size, mtime;
};

static int write_header(struct tar_writer *w, const struct fields *fields)
{
	struct header h = {};

	put_text(h.name, sizeof(h.name), fields->name);
	put_text(h.target, sizeof(h.target), fields->target);
	put_number(h.mode, sizeof(h.mode), fields->mode);
	put_number(h.uid, sizeof(h.uid), 0);
	put_number(h.gid, sizeof(h.gid), 0);
	put_number(h.size, sizeof(h.size), fields->size);
	put_number(h.mtime, sizeof(h.mtime), fields->mtime);
	h.type = fields->type;
	memcpy(h.magic, "ustar  ", sizeof(h.magic));
	put_checksum(&h);
	return tar_write_data(w, &h, sizeof(h));
}

/* Writes a name that is too long for its field as an extra entry before the actual one. */
static int write_long(struct tar_writer *w, char type, const char *text)
{
	size_t size = strlen(text) + 1;
	int r;

	if (size - 1 <= sizeof(((struct header *)0)->name))
		return 0;
	if (size > TAR_NAME_MAX)
		return -ENAMETOOLONG;
	r = write_header(w, &(struct fields){.name = LONG_NAME,
					     .target = "",
					     .type = type,
					     .mode = LONG_NAME_MODE,
					     .size = size});
	if (r == 0)
		r = tar_write_data(w, text, size);
	return r < 0 ? r : tar_write_padding(w);
}

int tar_write_header(struct tar_writer *w, const struct tar_entry *entry)
{
	const char *target = entry->type == TAR_LINK ? entry->target : "";
	int r = write_long(w, 'K', target);

	if (r == 0)
		r = write_long(w, 'L', entry->name);
	if (r < 0)
		return r;
	return write_header(w, &(struct fields){
				       .name = entry->name,
				       .target = target,
				       .type = (char)entry->type,
				       .mode = entry->mode,
				       .size = entry->type == TAR_FILE ? entry->size : 0,
				       .mtime = MTIME,
			       });
}

/* Room in the stream for at most `want` bytes. */
static uint8_t *room(struct tar_writer *w, size_t want, size_t *ret_size)
{
	size_t size;
	uint8_t *data = encoder_room(w->encoder, &size);

	if (data)
		*ret_size = MIN(size, want);
	return data;
}

static int commit(struct tar_writer *w, size_t size)
{
	w->size += size;
	return encoder_commit(w->encoder, size);
}

int tar_write_data(struct tar_writer *w, const void *data, size_t size)
{
	const char *from = data;

	while (size > 0) {
		size_t n;
		uint8_t *to = room(w, size, &n);
		int r;

		if (!to)
			return encoder_error(w->encoder);
		memcpy(to, from, n);
		r = commit(w, n);
		if (r < 0)
			return r;
		from += n;
		size -= n;
	}
	return 0;
}

int tar_write_fd(struct tar_writer *w, int fd, uint64_t size)
{
	while (size > 0) {
		size_t want;
		uint8_t *to = room(w, (size_t)MIN(size, (uint64_t)SIZE_MAX), &want);
		ssize_t n;
		int r;

		if (!to)
			return encoder_error(w->encoder);
		n = read(fd, to, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = commit(w, (size_t)n);
		if (r < 0)
			return r;
		size -= (uint64_t)n;
	}
	return 0;
}

static int write_zeros(struct tar_writer *w, size_t size)
{
	static const char zeros[BLOCK];

	while (size > 0) {
		size_t n = MIN(size, sizeof(zeros));
		int r = tar_write_data(w, zeros, n);

		if (r < 0)
			return r;
		size -= n;
	}
	return 0;
}

int tar_write_padding(struct tar_writer *w)
{
	return write_zeros(w, (size_t)(-w->size % BLOCK));
}

int tar_write_end(struct tar_writer *w)
{
	int r = write_zeros(w, (size_t)2 * BLOCK);

	return r < 0 ? r : write_zeros(w, (size_t)((RECORD - w->size % RECORD) % RECORD));
}
