/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* security row: A01, A06, A07 */
/*
 * The headers of an archive and what is made of them in memory: names, attributes, ACLs, blocks of
 * data. No file, no thread: hundreds of times as fast as fuzz_tar.c. Aborts when a name can leave
 * the tree, when an attribute is kept that must not be, or when an ACL is longer than its buffer.
 */
#include <archive_entry.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/str.h"
#include "transfer/import/accounts.h"
#include "transfer/import/entry.h"
#include "transfer/import/metadata.h"
#include "transfer/import/tar_read.h"

/* Of a header, see tar(5). */
#define BLOCK 512
#define AT_CHECKSUM 148
#define AT_MAGIC 257

#define ENTRIES_MAX 64
#define BLOCKS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of transfer/decode/decode.c, whose threads would be most of the time of a run. */
struct decoder {
	const uint8_t *data;
	size_t size;
};

ssize_t decoder_next(struct decoder *d, const void **ret)
{
	ssize_t size = (ssize_t)d->size;

	*ret = d->data;
	d->size = 0;
	return size;
}

const char *decoder_format_name(const struct decoder *d)
{
	return "";
}

static void check_name(const char *raw)
{
	char name[ENTRY_NAME_SIZE];

	if (!raw || entry_clean_name(raw, name) < 0)
		return;
	if (name[0] == '/' || strlen(name) >= sizeof(name) || streq(name, "..") ||
	    strstr(name, "/../") || strstr(name, "//") || str_after_prefix(name, "../"))
		abort();
	if (entry_parent_length(name) > strlen(name) || !entry_is_below(name, ""))
		abort();
}

static void check_xattr(const struct xattr *xattr)
{
	bool kept = str_after_prefix(xattr->name, "user.") ||
		    streq(xattr->name, "security.capability") ||
		    str_after_prefix(xattr->name, "system.posix_acl_");

	if (!kept || str_after_prefix(xattr->name, "user.overlay.") ||
	    xattr->size > XATTR_VALUE_MAX)
		abort();
}

static void check_acl(struct archive_entry *entry, bool defaults)
{
	uint8_t blob[ACL_BLOB_MAX];
	struct acl acl = {};

	if (acl_read(entry, defaults, &acl) < 0)
		return;
	if (acl.count > 0 && acl_encode(&acl, blob) > sizeof(blob))
		abort();
	acl_done(&acl);
}

static void check_entry(struct archive_entry *entry, struct transfer_stats *stats)
{
	static const struct accounts nobody;
	struct metadata meta = {};

	check_name(archive_entry_pathname(entry));
	check_name(archive_entry_hardlink(entry));
	check_acl(entry, false);
	check_acl(entry, true);
	if (metadata_read(entry, stats, &meta) < 0)
		return;
	if ((meta.mode & ~(mode_t)07777) || meta.uid == (uid_t)-1 || meta.gid == (gid_t)-1)
		abort();
	if (metadata_has_names(&meta))
		(void)metadata_resolve(&meta, &nobody, "entry", stats);
	for (size_t i = 0; i < meta.xattr_count; i++)
		check_xattr(&meta.xattrs[i]);
	metadata_done(&meta);
}

static int check_blocks(struct tar_read *tar)
{
	struct tar_block block;
	uint8_t sum = 0;
	int r = 1;

	for (unsigned i = 0; i < BLOCKS_MAX && (r = tar_read_block(tar, &block)) > 0; i++) {
		if (block.offset > INT64_MAX || block.size > INT64_MAX - block.offset)
			abort();
		for (size_t at = 0; at < block.size; at += 512)
			sum ^= ((const uint8_t *)block.data)[at];
	}
	*(volatile uint8_t *)&sum = sum;
	return r;
}

/* A mutation nearly always spoils a checksum, and behind a wrong one nothing is read. */
static void repair_checksums(uint8_t *data, size_t size)
{
	for (uint8_t *block = data; size >= BLOCK; block += BLOCK, size -= BLOCK) {
		unsigned sum = 0;
		char digits[8];

		if (memcmp(block + AT_MAGIC, "ustar", 5) != 0)
			continue;
		memset(block + AT_CHECKSUM, ' ', sizeof(digits));
		for (size_t i = 0; i < BLOCK; i++)
			sum += block[i];
		(void)snprintf(digits, sizeof(digits), "%06o", sum);
		memcpy(block + AT_CHECKSUM, digits, sizeof(digits));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *copy = malloc(size ? size : 1);
	struct decoder decode = {copy, size};
	struct transfer_stats stats = {};
	struct failure failure = {};
	struct tar_read *tar = NULL;
	struct archive_entry *entry;
	int r;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	repair_checksums(copy, size);
	r = tar_read_open(&decode, &stats, &failure, &tar);
	for (unsigned i = 0; r >= 0 && i < ENTRIES_MAX; i++) {
		r = tar_read_next(tar, &entry);
		if (r <= 0)
			break;
		check_entry(entry, &stats);
		r = check_blocks(tar);
	}
	if (r == 0)
		r = tar_read_finish(tar);
	if (r < 0 && failure.error >= 0)
		abort(); /* failed without a word */
	tar_read_close(tar);
	return 0;
}
