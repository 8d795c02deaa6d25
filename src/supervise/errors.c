/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words the failure of an op: the plan tells what was tried, a table tells what to do about it.
 * Must never change anything: it only reads the image. Supervisor's side.
 */
#include "supervise/errors.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "log/log.h"

/* ElfW(Ehdr) of this very program would say so too. */
#if defined(__x86_64__)
#define MACHINE_OF_HOST EM_X86_64
#elif defined(__aarch64__)
#define MACHINE_OF_HOST EM_AARCH64
#elif defined(__riscv)
#define MACHINE_OF_HOST EM_RISCV
#elif defined(__powerpc64__)
#define MACHINE_OF_HOST EM_PPC64
#elif defined(__s390x__)
#define MACHINE_OF_HOST EM_S390
#else
#define MACHINE_OF_HOST EM_NONE
#endif

struct hint {
	enum plan_op_kind kind;
	int error;
	const char *text;
};

#define CANT_MAP_STORE                                                                             \
	"the file system of /nix/store can't map users (ext4, xfs, btrfs and, from Linux 6.3, "    \
	"tmpfs can): use --private-users=no, or --nix-store=own with a tree that has its own"

#define CANT_LOCK_STORE                                                                            \
	"the store is locked against the machine's root by way of a user namespace, and this "     \
	"host forbids those: see sysctl user.max_user_namespaces"

#define MASK_IS_COVERED                                                                            \
	"a --bind= or --tmpfs= lies on /run/host, maybe by way of a symbolic link in the image"

#define IS_COVERED_ON_HOST                                                                         \
	"something is mounted over parts of the host's own /proc or /sys, as in another "          \
	"container: the kernel then refuses a new one inside a user namespace"

#define IS_THE_HOSTS                                                                               \
	"the path leads into a folder of the host's, bound there or mounted in the tree, in "      \
	"which the machine's root may make nothing: make it on the host, or see whether a "        \
	"symbolic link in the image leads there"
#define CANT_LIMIT                                                                                 \
	"a machine whose root is root of this host may make no cgroup namespaces, and that can't " \
	"be forbidden here: use --private-users=pick"

#define IS_NOT_KNOWN "this kernel does not know that file system"

static const struct hint hints[] = {
	{PLAN_OP_SETATTR, EINVAL,
	 "the file system can't map users (ext4, xfs, btrfs and, from Linux 6.3, tmpfs can): keep "
	 "the "
	 "image on one of those, or use --private-users=no"},
	{PLAN_OP_CLONE_HOLDER, ENOSPC,
	 "the kernel allows no more namespaces: see sysctl user.max_user_namespaces"},
	{PLAN_OP_CLONE_HOLDER, EPERM,
	 "user namespaces are forbidden here (sysctl kernel.unprivileged_userns_clone, or an outer "
	 "container): use --private-users=no"},
	{PLAN_OP_CLONE_HOLDER, EINVAL,
	 "the machine's users don't exist here, as in an outer container that maps fewer: use "
	 "--private-users=no"},
	{PLAN_OP_UNSHARE, ENOSPC,
	 "the kernel allows no more namespaces: see sysctl user.max_net_namespaces and its like"},
	{PLAN_OP_UNSHARE, EPERM, "redd needs root for this: run it with sudo"},
	{PLAN_OP_SYSCTL, EROFS, CANT_LIMIT},
	{PLAN_OP_SYSCTL, EACCES, CANT_LIMIT},
	{PLAN_OP_SYSCTL, ENOENT, CANT_LIMIT},
	{PLAN_OP_MOUNT_FS, EPERM, IS_COVERED_ON_HOST},
	{PLAN_OP_NEW_FS, EPERM, IS_COVERED_ON_HOST},
	{PLAN_OP_MOUNT_FS, ENODEV, IS_NOT_KNOWN},
	{PLAN_OP_NEW_FS, ENODEV, IS_NOT_KNOWN},
	{PLAN_OP_MKDIR, EROFS,
	 "the tree is read-only and lacks that directory: make it in the image, or start without "
	 "--read-only"},
	{PLAN_OP_MKFILE, EROFS,
	 "the tree is read-only and lacks that file: make it in the image, or start without "
	 "--read-only"},
	{PLAN_OP_MKDIR, EACCES, IS_THE_HOSTS},
	{PLAN_OP_MKFILE, EACCES, IS_THE_HOSTS},
	{PLAN_OP_LINK, EACCES, IS_THE_HOSTS},
	{PLAN_OP_MKDIR, ELOOP,
	 "it is a symbolic link in the image; a directory is needed there, so that nothing of the "
	 "host "
	 "is reached through it"},
	{PLAN_OP_MKDIR, ENOTDIR, "it is no directory in the image"},
	{PLAN_OP_OVERLAY, EINVAL,
	 "an overlay over a mapped tree needs Linux 5.19, and a file system that overlayfs takes"},
	{PLAN_OP_LOCK_TREE, ENOSPC, CANT_LOCK_STORE},
	{PLAN_OP_LOCK_TREE, EPERM, CANT_LOCK_STORE},
	{PLAN_OP_LINK, EISDIR, "it is a directory in the image: remove it there"},
	{PLAN_OP_OPEN_NODE, EXDEV, MASK_IS_COVERED},
	{PLAN_OP_OPEN_NODE, ELOOP, MASK_IS_COVERED},
	{PLAN_OP_CHDIR, ENOENT, "--chdir= names a directory inside the machine"},
	{PLAN_OP_CHDIR, ELOOP, "--chdir= may not lead through links like those in /proc/self/fd"},
};

static void print_hint(const struct plan_op *op, int error)
{
	if (op->kind == PLAN_OP_SETATTR && op->in == PLAN_SLOT_STORE && error == -EINVAL) {
		log_hint(CANT_MAP_STORE);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (hints[i].kind == op->kind && hints[i].error == -error) {
			log_hint("%s", hints[i].text);
			return;
		}
}

static const char *machine_name(uint16_t machine)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_X86_64, "x86-64"}, {EM_386, "x86"},	    {EM_AARCH64, "arm64"}, {EM_ARM, "arm"},
		{EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"}, {EM_S390, "s390x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return "another architecture";
}

/* What stands where the program should be. NULL: nothing that explains it. */
static const char *explain_program(int fd, char *buffer, size_t size)
{
	Elf64_Ehdr header = {};
	ssize_t n = io_read_all(fd, &header, sizeof(header));

	if (n == 0)
		return "the file is empty";
	if (n >= (ssize_t)EI_NIDENT + 4 && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
		(void)snprintf(
			buffer, size, "it is a program for %s%s", machine_name(header.e_machine),
			header.e_machine == MACHINE_OF_HOST
				? ""
				: ", which this host runs by qemu-user and binfmt_misc only");
		return buffer;
	}
	if (n >= 2 && memcmp(&header, "#!", 2) == 0)
		return "it is a script, and the interpreter that its first line names is missing";
	return "it is neither a program nor a script";
}

/* Regular files only: to open a device could do harm already, as a watchdog shows. */
static int open_program(int image_fd, const char *path)
{
	autoclose int found = path_open_in_root(image_fd, path, O_PATH);
	char self[32];
	struct stat st;
	int fd;

	if (found < 0)
		return found;
	if (fstat(found, &st) < 0 || !S_ISREG(st.st_mode))
		return -EBADFD;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void explain_exec(const struct boot_failure *failure)
{
	int error = failure->error;
	char buffer[128];

	for (char *const *path = failure->op->candidates; *path; path++) {
		autoclose int fd = open_program(failure->image_fd, *path);
		const char *why;

		if (fd < 0)
			continue;
		why = explain_program(fd, buffer, sizeof(buffer));
		if (error == -ENOEXEC || error == -ENOENT)
			log_hint("%s is there: %s%s", *path, why,
				 error == -ENOENT && why == buffer
					 ? ", and the loader (ELF interpreter) it names is missing"
					 : "");
		return;
	}
}

static int log_exec(const struct boot_failure *failure)
{
	const struct spec *spec = failure->spec;
	const char *program = failure->op->argv[0];
	bool is_boot = spec->start == SPEC_START_BOOT;

	if (!is_boot && (!spec->parameters || !spec->parameters[0]))
		program = failure->op->candidates[0];
	(void)log_errno(failure->error, "execute %s%s in machine %s", is_boot ? "the init " : "",
			program, spec->machine);
	explain_exec(failure);
	return failure->error;
}

static int log_store_binds(const struct boot_failure *failure)
{
	const struct plan_store_path *paths = failure->op->blob;
	int error = failure->error;

	(void)log_errno(error, "start machine %s: show it /nix/store/%s", failure->spec->machine,
			paths[failure->item].name);
	if (error == -ENOENT)
		log_hint("it was deleted a moment ago: nix-store --verify --repair brings it back");
	if (error == -ENOSPC)
		log_hint("the kernel allows no more mounts: see sysctl fs.mount-max");
	return error;
}

int boot_log_failure(const struct boot_failure *failure)
{
	const struct plan_op *op = failure->op;
	autofree char *line = NULL;
	size_t size;
	FILE *stream;

	if (op->kind == PLAN_OP_EXEC)
		return log_exec(failure);
	if (op->kind == PLAN_OP_STORE_BINDS || op->kind == PLAN_OP_STORE_VIEW)
		return log_store_binds(failure);
	stream = open_memstream(&line, &size);
	if (!stream)
		return log_oom();
	plan_print_op(op, stream);
	if (fclose(stream) != 0)
		return log_oom();
	(void)log_errno(failure->error, "start machine %s: step \"%s\" failed",
			failure->spec->machine, line);
	print_hint(op, failure->error);
	return failure->error;
}
