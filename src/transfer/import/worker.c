/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts and ends the worker. After fork() the worker must never log: its parent does. Runs in
 * both.
 */
#include "transfer/import/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "lib/macro.h"
#include "transfer/decode/decode.h"
#include "transfer/decode/source.h"
#include "transfer/import/confine.h"
#include "transfer/import/inode_map.h"
#include "transfer/import/unpack.h"

#define STACK_SIZE ((size_t)1024 * 1024)
/*
 * For libarchive (a sparse map can have two million entries), and for what the parent has
 * allocated.
 */
#define MEMORY_OTHER (UINT64_C(128) * 1024 * 1024)

static int use_small_stacks(void)
{
	pthread_attr_t attr;
	int r = -pthread_attr_init(&attr);

	if (r == 0)
		r = -pthread_attr_setstacksize(&attr, STACK_SIZE);
	return r < 0 ? r : -pthread_setattr_default_np(&attr);
}

static int worker_confine(const struct worker_input *in, struct worker_shared *shared, pid_t parent)
{
	const int keep[] = {in->source_fd, in->tree_fd, in->lock_fd};
	int r = confine_process(parent);

	/* Names in pax headers are UTF-8; libarchive would convert them to the locale's charset. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	(void)umask(0);
	if (r == 0)
		r = confine_close_fds(keep, ARRAY_SIZE(keep));
	if (r == 0)
		r = confine_drop_capabilities();
	if (r == 0)
		r = use_small_stacks();
	if (r == 0) {
		atomic_store(&shared->confinement, confine_to_tree(in->tree_fd));
		r = confine_calls();
	}
	return r < 0 ? failure_errno(&shared->failure, r, "confine the unpacking process") : 0;
}

static int worker_unpack(const struct worker_input *in, struct worker_shared *shared)
{
	const struct unpack_options options = {in->tree_fd, in->quota, in->quota_is_set};
	struct source source;
	struct decoder *decode;
	int r = source_open(&source, in->source_fd, &shared->stats.bytes_read);

	if (r < 0)
		return failure_errno(&shared->failure, r, "read the archive");
	r = decoder_start(&source, &shared->failure, &decode);
	if (r < 0) {
		source_done(&source);
		return r;
	}
	r = confine_memory(decoder_memory_max(decode) + INODE_MAP_BYTES_MAX + MEMORY_OTHER);
	if (r < 0 && r != -EOPNOTSUPP)
		(void)failure_errno(&shared->failure, r,
				    "limit the memory of the unpacking process");
	else
		r = unpack_tree(decode, &options, &shared->stats, &shared->failure);
	decoder_free(decode);
	source_done(&source);
	return r;
}

static _Noreturn void worker_main(const struct worker_input *in, struct worker_shared *shared,
				  pid_t parent)
{
	int r = worker_confine(in, shared, parent);

	if (r == 0)
		r = worker_unpack(in, shared);
	if (r == 0)
		atomic_store(&shared->unpacked, true);
	_exit(r == 0 ? 0 : 1);
}

int worker_start(const struct worker_input *input, struct worker *ret)
{
	pid_t parent = getpid();
	struct worker w = {.pidfd = -1};
	void *page = mmap(NULL, sizeof(*w.shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	w.shared = page;
	w.pid = fork();
	if (w.pid == 0)
		worker_main(input, w.shared, parent);
	w.pidfd = w.pid < 0 ? -errno : sys_pidfd_open(w.pid, 0);
	if (w.pidfd < 0) {
		int r = w.pidfd;

		worker_done(&w);
		return r;
	}
	*ret = w;
	return 0;
}

void worker_stop(struct worker *w)
{
	if (w->pid <= 0)
		return;
	(void)kill(w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	w->pid = 0;
}

int worker_finish(struct worker *w)
{
	struct failure *f = &w->shared->failure;
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	w->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && atomic_load(&w->shared->unpacked))
		return 0;
	if (WIFSIGNALED(status)) {
		(void)failure_set(f, -EIO, "the unpacking process was killed by signal %d (%s)",
				  WTERMSIG(status), strsignal(WTERMSIG(status)));
		(void)failure_hint(f, "signal 9 often means that memory ran out: see dmesg");
	}
	/* Our code always words a failure; libarchive exits without one if it gets no memory. */
	if (WIFEXITED(status) && !atomic_load(&f->claimed)) {
		(void)failure_set(f, -ENOMEM, "reading it takes more memory than an archive may");
		(void)failure_hint(f, "the archive may be hostile; nothing was imported");
	}
	(void)failure_set(f, -EIO, "the unpacking process failed");
	/* The worker may have been taken over: end its texts, and accept only a negative error. */
	f->what[sizeof(f->what) - 1] = '\0';
	f->hint[sizeof(f->hint) - 1] = '\0';
	return f->error < 0 ? f->error : -EIO;
}

void worker_done(struct worker *w)
{
	worker_stop(w);
	if (w->pidfd >= 0)
		(void)close(w->pidfd);
	if (w->shared)
		(void)munmap(w->shared, sizeof(*w->shared));
	*w = (struct worker){.pidfd = -1};
}
