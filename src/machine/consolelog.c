// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes the console log. Must never block on the guest, grow without bound, or fail a machine
 * because the disk is full: records that can't be written are dropped. Supervisor's side.
 */
#include "machine/consolelog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/machine_name.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "machine/registry.h"

struct consolelog {
	int dir_fd;
	int fd; /* -1 until the first record */
	uint64_t size;
	bool continued; /* the beginning of the line has been written */
	char *file, *older;
	size_t used;
	char line[CONSOLELOG_LINE_MAX];
};

int consolelog_open(const char *name, struct consolelog **ret)
{
	struct consolelog *log;

	if (!machine_name_is_valid(name))
		return -EINVAL;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->fd = -1;
	log->dir_fd = fs_open_private_dir(MACHINE_LOG_DIR, 0700);
	log->file = str_printf("%s.log", name);
	log->older = str_printf("%s.log.1", name);
	if (log->dir_fd < 0 || !log->file || !log->older) {
		int r = log->dir_fd < 0 ? log->dir_fd : -ENOMEM;

		consolelog_close(log);
		return r;
	}
	*ret = log;
	return 0;
}

void consolelog_close(struct consolelog *log)
{
	if (!log)
		return;
	consolelog_flush(log);
	cleanup_close(&log->fd);
	cleanup_close(&log->dir_fd);
	free(log->file);
	free(log->older);
	free(log);
}

static int open_file(struct consolelog *log)
{
	struct stat st;

	if (log->fd >= 0)
		return 0;
	log->fd = openat(log->dir_fd, log->file,
			 O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0)
		return -errno;
	log->size = fstat(log->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

static void rotate(struct consolelog *log)
{
	cleanup_close(&log->fd);
	log->fd = -1;
	(void)renameat(log->dir_fd, log->file, log->dir_fd, log->older);
}

static void write_records(struct consolelog *log, const struct buf *b)
{
	if (b->error < 0 || b->size == 0 || open_file(log) < 0)
		return;
	if (log->size > 0 && log->size + b->size > CONSOLELOG_MAX_BYTES) {
		rotate(log);
		if (open_file(log) < 0)
			return;
	}
	if (io_write_all(log->fd, b->data, b->size) >= 0)
		log->size += b->size;
}

static void add_record(struct buf *b, char kind, const void *text, size_t size)
{
	char when[40];

	buf_add_str(b, time_format_iso(time_realtime_us(), when, sizeof(when)));
	buf_add(b, &kind, 1);
	buf_add(b, text, size);
	buf_add(b, "\n", 1);
}

static void add_line(struct consolelog *log, struct buf *b, bool finished)
{
	add_record(b, log->continued ? '+' : ' ', log->line, log->used);
	log->used = 0;
	log->continued = !finished;
}

static void add_byte(struct consolelog *log, struct buf *b, char c)
{
	if (c == '\n') {
		/* A flushed line that ends now needs no empty record. */
		if (log->used > 0 || !log->continued)
			add_line(log, b, true);
		log->continued = false;
		return;
	}
	if (c == '\r' || c == '\0')
		return;
	if (log->used == sizeof(log->line))
		add_line(log, b, false);
	log->line[log->used++] = c;
}

void consolelog_write(struct consolelog *log, const void *data, size_t size)
{
	const char *p = data;
	autobuf struct buf b = {};

	/* In pieces, so that a flood neither grows the buffer nor exceeds the file's limit. */
	for (size_t i = 0; i < size; i++) {
		add_byte(log, &b, p[i]);
		if (b.size >= CONSOLELOG_MAX_BYTES / 4) {
			write_records(log, &b);
			buf_done(&b);
		}
	}
	write_records(log, &b);
}

void consolelog_flush(struct consolelog *log)
{
	autobuf struct buf b = {};

	if (log->used == 0)
		return;
	add_line(log, &b, false);
	write_records(log, &b);
}

int consolelog_pending(const struct consolelog *log)
{
	return log->used > 0;
}

void consolelog_mark(struct consolelog *log, const char *text)
{
	autofree char *escaped = str_escape(text);
	autobuf struct buf b = {};

	consolelog_flush(log);
	log->continued = false;
	if (!escaped)
		return;
	add_record(&b, '=', escaped, strlen(escaped));
	write_records(log, &b);
}
