// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Packs a tree, from the request to the published file. One thread reads files and writes tar
 * headers, the others compress. Must never leave a partial file. Runs in the caller's process.
 */
#include "transfer/pack/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/time.h"
#include "log/log.h"
#include "transfer/pack/output.h"
#include "transfer/pack/pack_tree.h"
#include "transfer/progress.h"

struct pack {
	const struct pack_request *request;
	struct output output;
	struct pack_writer writer;
	struct progress progress;
	struct transfer_stats *stats;
	_Atomic uint64_t bytes_out;
	sigset_t caught, old_signals;
};

static void pack_done(struct pack *p)
{
	progress_clear(&p->progress);
	if (p->writer.tar.encoder)
		encoder_free(p->writer.tar.encoder);
	output_done(&p->output);
	free(p->writer.path);
	free(p->stats);
	(void)sigprocmask(SIG_SETMASK, &p->old_signals, NULL);
}

/*
 * SIGPIPE is blocked, so that a closed pipe is an error like others. When writing a file, SIGINT
 * and SIGTERM are caught so that nothing is left of it, and SIGHUP is blocked so that packing goes
 * on without its terminal. When writing to a pipe, these three keep their usual effect.
 */
static void catch_signals(struct pack *p)
{
	sigset_t blocked;

	(void)sigemptyset(&p->caught);
	if (p->output.replaces) {
		(void)sigaddset(&p->caught, SIGINT);
		(void)sigaddset(&p->caught, SIGTERM);
	}
	blocked = p->caught;
	(void)sigaddset(&blocked, SIGPIPE);
	if (p->output.replaces)
		(void)sigaddset(&blocked, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &blocked, &p->old_signals);
}

static int tick(void *userdata)
{
	static const struct timespec at_once = {};
	struct pack *p = userdata;

	progress_tick(&p->progress);
	if (p->output.replaces && sigtimedwait(&p->caught, NULL, &at_once) > 0)
		return -ECANCELED;
	return 0;
}

static int pack_start(struct pack *p)
{
	const struct pack_request *request = p->request;
	const struct import_request shown = {.quiet = request->quiet, .output = request->style};
	const struct encode_config config = {
		.format = request->format,
		.level = request->level,
		.out_fd = p->output.fd,
		.bytes_out = &p->bytes_out,
		.tick = tick,
		.userdata = p,
	};

	p->stats = calloc(1, sizeof(*p->stats));
	if (!p->stats)
		return -ENOMEM;
	progress_start(&p->progress, &shown, request->name);
	p->progress.stats = p->stats;
	p->progress.total = request->total_bytes;
	p->writer.stats = p->stats;
	return encoder_start(&config, &p->writer.tar.encoder);
}

static int pack_failed(struct pack *p, int r)
{
	/* If the encoder failed, that is the cause: the reader's error only follows from it. */
	int of_output = p->writer.tar.encoder ? encoder_error(p->writer.tar.encoder) : 0;

	progress_clear(&p->progress);
	if (r == -ECANCELED)
		return log_error(r, "the packing of %s was cancelled; nothing of it is kept",
				 p->request->name);
	if (of_output < 0 || !p->writer.path)
		return log_errno(of_output < 0 ? of_output : r, "write %s", p->output.path);
	if (r == -EBADFD)
		return log_error(r, "pack /%s: it is no file, folder or link", p->writer.path);
	return log_errno(r, "pack /%s", p->writer.path);
}

static void print_json_result(const struct pack *p, double seconds)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	(void)json_object_object_add(o, "type", json_object_new_string("result"));
	(void)json_object_object_add(o, "name", json_object_new_string(p->request->name));
	(void)json_object_object_add(o, "path", json_object_new_string(p->output.path));
	(void)json_object_object_add(o, "entries", json_object_new_uint64(p->stats->entries));
	(void)json_object_object_add(o, "bytesPacked", json_object_new_uint64(p->writer.tar.size));
	(void)json_object_object_add(o, "bytesWritten", json_object_new_uint64(p->bytes_out));
	(void)json_object_object_add(o, "seconds", json_object_new_double(seconds));
	(void)printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	(void)json_object_put(o);
}

static void report(struct pack *p)
{
	double seconds =
		(double)(time_monotonic_us() - p->progress.started_us) / (double)USEC_PER_SEC;
	char in[32], out[32];

	progress_clear(&p->progress);
	if (p->progress.style == PROGRESS_JSON)
		print_json_result(p, seconds);
	else if (p->progress.style != PROGRESS_NONE)
		log_info("packed %s: %" PRIu64 " entries, %s to %s in %.1fs", p->request->name,
			 (uint64_t)p->stats->entries,
			 size_format(p->writer.tar.size, in, sizeof(in)),
			 size_format(p->bytes_out, out, sizeof(out)), seconds);
}

int transfer_pack(const struct pack_request *request, const struct pack_tree *tree)
{
	autocall(pack_done) struct pack p = {.request = request};
	int r = output_open(request->output, &p.output);

	(void)sigprocmask(SIG_BLOCK, NULL, &p.old_signals);
	if (r < 0)
		return r;
	catch_signals(&p);
	r = pack_start(&p);
	if (r == 0)
		r = pack_write_tree(&p.writer, tree);
	if (r == 0)
		r = encoder_finish(p.writer.tar.encoder);
	if (r < 0)
		return pack_failed(&p, r);
	r = output_publish(&p.output);
	if (r == 0)
		report(&p);
	return r;
}
