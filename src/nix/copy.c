// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copies a closure by ssh and nix-store. Must never pass unquoted text to the shell of the remote
 * host. Caller's side of clone().
 */
#include "nix/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/name.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "nix/info.h"
#include "nix/names.h"
#include "nix/nix.h"
#include "nix/run.h"

#define OUTPUT_MAX (64 * 1024 * 1024)
/* Exit code of ssh when it could not run the command. */
#define SSH_FAILED 255
#define COMMAND_NOT_FOUND 127

struct copy {
	const char *host, *machine;
	char *store_path;
	struct nix_infos closure;
	char **missing; /* store paths */
	bool quiet;
};

static void copy_done(struct copy *c)
{
	free(c->store_path);
	nix_infos_done(&c->closure);
	c->missing = strv_free(c->missing);
}

/* ssh OPTIONS -- HOST COMMAND. */
static int ssh_command(const struct copy *c, const char *command, char ***ret)
{
	const char *options = getenv("NIX_SSHOPTS");
	autostrv char **argv = NULL, **words = NULL;
	int r = strv_add(&argv, "ssh");

	if (r >= 0 && options)
		r = strv_split(options, " ", &words);
	for (char **word = words; word && *word && r >= 0; word++)
		r = strv_add(&argv, *word);
	if (r >= 0)
		r = strv_add(&argv, "--");
	if (r >= 0)
		r = strv_add(&argv, c->host);
	if (r >= 0)
		r = strv_add(&argv, command);
	if (r < 0)
		return log_oom();
	*ret = take_ptr(argv);
	return 0;
}

static int remote_failed(const struct copy *c, const char *what, int code)
{
	if (code == SSH_FAILED)
		return log_error(-EHOSTUNREACH, "ssh to %s failed", c->host);
	if (code == COMMAND_NOT_FOUND)
		return log_error(-ENOENT, "%s on %s: the program isn't there", what, c->host);
	return log_error(-EIO, "%s on %s failed (exit code %d)", what, c->host, code);
}

static int local_failed(const char *program, int error)
{
	return log_errno(error, "run %s", program);
}

/* A file in memory with a path on each line, positioned at its start. */
static int closure_as_file(const struct copy *c, int *ret_fd)
{
	autoclose int fd = memfd_create("closure", MFD_CLOEXEC);
	autobuf struct buf text = {};
	int r;

	for (size_t i = 0; i < c->closure.count; i++)
		buf_printf(&text, NIX_STORE_DIR "/%s\n", c->closure.items[i].name);
	if (fd < 0)
		return -errno;
	r = text.error ? text.error : io_write_all(fd, text.data, text.size);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Don't trust the answer of the remote host: only take paths of the closure. */
static int take_missing(struct copy *c, const char *answer)
{
	autostrv char **lines = NULL;
	int r = strv_split(answer, "\n", &lines);

	for (size_t i = 0; i < c->closure.count && r >= 0; i++) {
		autofree char *path = nix_path_of_name(c->closure.items[i].name);

		if (!path)
			return -ENOMEM;
		if (strv_contains(lines, path))
			r = strv_add_owned(&c->missing, take_ptr(path));
	}
	return r;
}

static int ask_missing(struct copy *c)
{
	autostrv char **argv = NULL;
	autofree char *answer = NULL;
	autoclose int fd = -1;
	int r = closure_as_file(c, &fd);

	if (r < 0)
		return log_errno(r, "write the closure down");
	r = ssh_command(c, "xargs nix-store --check-validity --print-invalid", &argv);
	if (r < 0)
		return r;
	r = nix_run_read(argv, fd, OUTPUT_MAX, &answer);
	if (r < 0)
		return local_failed("ssh", r);
	if (r > 0)
		return remote_failed(c, "nix-store --check-validity", r);
	r = take_missing(c, answer);
	return r < 0 ? log_oom() : 0;
}

static int start_export(const struct copy *c, int out_fd, pid_t *ret)
{
	autostrv char **argv = NULL;
	int r = strv_add(&argv, "nix-store");

	if (r >= 0)
		r = strv_add(&argv, "--export");
	for (char **path = c->missing; *path && r >= 0; path++)
		r = strv_add(&argv, *path);
	if (r < 0)
		return log_oom();
	r = nix_run_start(argv, (struct nix_run_fds){.in = -1, .out = out_fd}, ret);
	return r < 0 ? local_failed("nix-store --export", r) : 0;
}

/* nix-store --import prints every path: discard that on the remote host. */
static int start_import(const struct copy *c, int in_fd, pid_t *ret)
{
	autostrv char **argv = NULL;
	int r = ssh_command(c, "nix-store --import >/dev/null", &argv);

	if (r < 0)
		return r;
	r = nix_run_start(argv, (struct nix_run_fds){.in = in_fd, .out = -1}, ret);
	return r < 0 ? local_failed("ssh", r) : 0;
}

/* Our ends of the pipe are closed at once, so that each program notices when the other ends. */
static int run_pipe(const struct copy *c, int *ret_export, int *ret_import)
{
	autoclose int read_fd = -1, write_fd = -1;
	pid_t exporter, importer;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return log_errno(-errno, "make a pipe");
	read_fd = fds[0];
	write_fd = fds[1];
	r = start_import(c, read_fd, &importer);
	if (r < 0)
		return r;
	r = start_export(c, write_fd, &exporter);
	(void)close(take_fd(&read_fd));
	(void)close(take_fd(&write_fd));
	*ret_export = r < 0 ? r : nix_run_wait(exporter);
	*ret_import = nix_run_wait(importer);
	return r;
}

static int send_missing(struct copy *c)
{
	int exported = 0, imported = 0, r;

	if (!c->missing)
		return 0;
	r = run_pipe(c, &exported, &imported);
	if (r < 0)
		return r;
	/* Report the importer first: when it fails, the exporter fails too, of a closed pipe. */
	if (imported != 0)
		return imported < 0 ? local_failed("ssh", imported)
				    : remote_failed(c, "nix-store --import", imported);
	if (exported != 0)
		return log_error(-EIO, "nix-store --export failed (exit code %d)", exported);
	return 0;
}

/* Whether the remote host has generations of the machine: 1 or 0. */
static int ask_machine(const struct copy *c)
{
	autofree char *command =
		str_printf("redd nix generations --json=short '%s' >/dev/null 2>&1", c->machine);
	autofree char *answer = NULL;
	autostrv char **argv = NULL;
	int r = command ? ssh_command(c, command, &argv) : log_oom();

	if (r < 0)
		return r;
	r = nix_run_read(argv, -1, OUTPUT_MAX, &answer);
	if (r < 0)
		return local_failed("ssh", r);
	if (r == SSH_FAILED || r == COMMAND_NOT_FOUND)
		return remote_failed(c, "redd", r);
	return r == 0;
}

/* Quoted: a store path may contain a "?", which is a pattern to a shell. */
static int make_generation(const struct copy *c)
{
	autofree char *command = NULL;
	autostrv char **argv = NULL;
	pid_t pid;
	int r = ask_machine(c);

	if (r < 0)
		return r;
	command = str_printf("redd nix %s '%s' '%s'", r > 0 ? "update" : "create", c->machine,
			     c->store_path);
	r = command ? ssh_command(c, command, &argv) : log_oom();
	if (r < 0)
		return r;
	/* Its output goes to the user. */
	r = nix_run_start(argv, (struct nix_run_fds){.in = -1, .out = -1}, &pid);
	r = r < 0 ? r : nix_run_wait(pid);
	if (r < 0)
		return local_failed("ssh", r);
	return r > 0 ? remote_failed(c, command, r) : 0;
}

static void say_sizes(const struct copy *c)
{
	uint64_t bytes = 0;
	char size[32];

	if (c->quiet)
		return;
	for (size_t i = 0; i < c->closure.count; i++) {
		autofree char *path = nix_path_of_name(c->closure.items[i].name);

		if (path && strv_contains(c->missing, path))
			bytes += c->closure.items[i].nar_bytes;
	}
	log_info("%s lacks %zu of %zu paths, %s", c->host, strv_length(c->missing),
		 c->closure.count, size_format(bytes, size, sizeof(size)));
}

int nix_copy_to(const char *host, const char *machine, bool quiet)
{
	autocall(copy_done) struct copy c = {.host = host, .machine = machine, .quiet = quiet};
	int r;

	if (host[0] == '-' || host[0] == '\0')
		return log_error(-EINVAL, "'%s' is no host", host);
	if (!machine_name_is_valid(machine))
		return log_error(-EINVAL, "'%s' is not a valid machine name", machine);
	r = nix_profile_get(machine, &c.store_path, NULL);
	if (r == -ENOENT)
		return log_error(r, "machine '%s' has no Nix generations", machine);
	if (r >= 0)
		r = nix_infos_read(c.store_path, NIX_DETAIL_NAMES, &c.closure);
	if (r >= 0)
		r = ask_missing(&c);
	if (r < 0)
		return r;
	say_sizes(&c);
	r = send_missing(&c);
	return r < 0 ? r : make_generation(&c);
}
