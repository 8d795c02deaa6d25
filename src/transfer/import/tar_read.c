/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses libarchive only to parse the tar format. Must never let it filter, touch files or look up
 * users. Runs in the worker.
 *
 * libarchive accepts an input that ends between two entries. To detect truncation at any byte, an
 * end mark of our own follows the input. The archive is complete if libarchive did not need our
 * mark, or needed only its first half: some writers put one block of zeros, not two.
 */
#include "transfer/import/tar_read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"

#define TAR_BLOCK 512

struct tar_read {
	struct archive *archive;
	struct decoder *decode;
	struct transfer_stats *stats;
	struct failure *failure;
	uint64_t fed; /* bytes given to libarchive, without our end mark */
	uint64_t entries;
	bool ended;
};

static const uint8_t end_mark[2 * TAR_BLOCK];

static la_ssize_t tar_feed(struct archive *a, void *userdata, const void **ret)
{
	struct tar_read *t = userdata;
	ssize_t n = t->ended ? 0 : decoder_next(t->decode, ret);

	if (n > 0) {
		t->fed += (uint64_t)n;
		stats_add(&t->stats->bytes_decoded, (uint64_t)n);
		return n;
	}
	if (n < 0) {
		/* The decoder has worded the failure; this only makes libarchive stop. */
		archive_set_error(a, (int)-n, "decompression failed");
		return -1;
	}
	if (t->ended)
		return 0;
	t->ended = true;
	*ret = end_mark;
	return sizeof(end_mark);
}

static int tar_truncated(struct tar_read *t)
{
	(void)failure_set(t->failure, -ENODATA,
			  "the archive ends without its end mark: it is truncated");
	return failure_hint(t->failure, "fetch or copy the file again and compare its checksum");
}

static int tar_failed(struct tar_read *t)
{
	const char *format = decoder_format_name(t->decode);
	const char *text = archive_error_string(t->archive);

	if (archive_errno(t->archive) == ENOMEM)
		return failure_errno(t->failure, -ENOMEM, "read the archive");
	if (t->ended && t->entries > 0)
		return tar_truncated(t);
	if (t->entries == 0) {
		(void)failure_set(t->failure, -EBADMSG, "%s%s%s is no tar archive",
				  format[0] ? "what is in the " : "the file", format,
				  format[0] ? " stream" : "");
		return failure_hint(t->failure, "look at it with: file FILE; tar tf FILE");
	}
	return failure_set(t->failure, -EBADMSG, "the archive is damaged after %llu entries: %s",
			   (unsigned long long)t->entries, text ? text : "unknown error");
}

int tar_read_open(struct decoder *d, struct transfer_stats *stats, struct failure *failure,
		  struct tar_read **ret)
{
	struct tar_read *t = calloc(1, sizeof(*t));

	if (t)
		t->archive = archive_read_new();
	if (!t || !t->archive) {
		free(t);
		return failure_errno(failure, -ENOMEM, "read the archive");
	}
	t->decode = d;
	t->stats = stats;
	t->failure = failure;
	*ret = t;
	if (archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
	    archive_read_open(t->archive, t, NULL, tar_feed, NULL) != ARCHIVE_OK)
		return tar_failed(t);
	return 0;
}

/* Refuse a name that was changed by a charset conversion: it would name another file. */
static int tar_warned(struct tar_read *t, struct archive_entry *entry)
{
	const char *text = archive_error_string(t->archive);
	const char *name = archive_entry_pathname(entry);

	if (text && (strstr(text, "Pathname") || strstr(text, "Linkname")))
		return failure_set(t->failure, -EILSEQ, "entry '%.300s': %s", name ? name : "?",
				   text);
	stats_add(&t->stats->odd_headers, 1);
	return 1;
}

int tar_read_next(struct tar_read *t, struct archive_entry **ret)
{
	int r = archive_read_next_header(t->archive, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r < ARCHIVE_WARN)
		return tar_failed(t);
	t->entries++;
	return r == ARCHIVE_WARN ? tar_warned(t, *ret) : 1;
}

int tar_read_block(struct tar_read *t, struct tar_block *ret)
{
	la_int64_t offset = 0;
	int r = archive_read_data_block(t->archive, &ret->data, &ret->size, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r < ARCHIVE_WARN)
		return tar_failed(t);
	if (offset < 0)
		return failure_set(t->failure, -EBADMSG,
				   "the archive is damaged: a negative offset");
	ret->offset = (uint64_t)offset;
	return 1;
}

int tar_read_finish(struct tar_read *t)
{
	la_int64_t consumed = archive_filter_bytes(t->archive, 0);
	const void *data;
	ssize_t n = 0;

	if (consumed < 0 || (uint64_t)consumed > t->fed + TAR_BLOCK)
		return tar_truncated(t);
	if (t->entries == 0)
		return failure_set(t->failure, -ENODATA, "the archive holds no files");
	while (!t->ended && (n = decoder_next(t->decode, &data)) > 0) {
		t->fed += (uint64_t)n;
		stats_add(&t->stats->bytes_decoded, (uint64_t)n);
	}
	return (int)n;
}

void tar_read_close(struct tar_read *t)
{
	if (!t)
		return;
	(void)archive_read_free(t->archive);
	free(t);
}
