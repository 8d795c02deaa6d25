/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The allow-list of the worker's system calls. It is far shorter than a payload's
 * (host/seccomp-gen) and covers only the main ABI of this processor, so the filter is a constant.
 * Its length costs nothing: the kernel keeps a bitmap of the calls that are always allowed.
 *
 * Must never allow a call that reaches another process, another program, a socket or a mount. A
 * call that is not listed fails as in a kernel that lacks it, because a newer libc then falls back
 * to an older call. Runs in the worker.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/macro.h"
#include "transfer/import/confine.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__i386__)
#define OWN_ARCH AUDIT_ARCH_I386
#elif defined(__arm__)
#define OWN_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define OWN_ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_ARCH AUDIT_ARCH_PPC64LE
#else
#error "which AUDIT_ARCH_… has this processor?"
#endif

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_HALF 4
#else
#define LOW_HALF 0
#endif
/* Loads the low 32 bits of an argument: they hold all flags and commands compared here. */
#define LOAD_ARGUMENT(n)                                                                           \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + LOW_HALF)
#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ABSENT RETURN(SECCOMP_RET_ERRNO | ENOSYS)
/* Skips `skipped` instructions unless A equals `number`. */
#define UNLESS(number, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, skipped)
#define ALLOW(name) UNLESS(__NR_##name, 1), RETURN(SECCOMP_RET_ALLOW)

static const struct sock_filter calls[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),

	/* Read the archive, create files. */
	ALLOW(read),
	ALLOW(write),
	ALLOW(writev),
	ALLOW(pread64),
	ALLOW(lseek),
	ALLOW(close),
	ALLOW(openat),
	ALLOW(openat2),
	ALLOW(mkdirat),
	ALLOW(symlinkat),
	ALLOW(linkat),
	ALLOW(mknodat),
	ALLOW(unlinkat),
	ALLOW(renameat2),
	ALLOW(fchown),
	ALLOW(fchownat),
	ALLOW(fchmod),
	ALLOW(fchmodat),
	ALLOW(fsetxattr),
	ALLOW(utimensat),
	ALLOW(ftruncate),
	ALLOW(syncfs),
	ALLOW(getdents64),
	ALLOW(fstat),
	ALLOW(statx),
	ALLOW(fcntl),
#ifdef __NR_newfstatat
	ALLOW(newfstatat),
#endif
#ifdef __NR_fstatat64
	ALLOW(fstatat64),
	ALLOW(fstat64),
#endif
#ifdef __NR_fcntl64
	ALLOW(fcntl64),
#endif
#ifdef __NR__llseek
	ALLOW(_llseek),
#endif
#ifdef __NR_ftruncate64
	ALLOW(ftruncate64),
#endif
#ifdef __NR_fchown32
	ALLOW(fchown32),
#endif
#ifdef __NR_utimensat_time64
	ALLOW(utimensat_time64),
#endif
#ifdef __NR_fadvise64
	ALLOW(fadvise64),
#endif
#ifdef __NR_fadvise64_64
	ALLOW(fadvise64_64),
#endif
#ifdef __NR_arm_fadvise64_64
	ALLOW(arm_fadvise64_64),
#endif

	/* Memory and threads. */
	ALLOW(brk),
	ALLOW(munmap),
	ALLOW(mremap),
	ALLOW(madvise),
	ALLOW(futex),
	ALLOW(set_robust_list),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(rt_sigaction),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),
	ALLOW(sched_yield),
	ALLOW(sched_getaffinity),
	ALLOW(gettid),
	ALLOW(getpid),
	ALLOW(getrandom),
	ALLOW(clock_gettime),
	ALLOW(exit),
	ALLOW(exit_group),
#ifdef __NR_rseq
	ALLOW(rseq),
#endif
#ifdef __NR_futex_time64
	ALLOW(futex_time64),
#endif
#ifdef __NR_clock_gettime64
	ALLOW(clock_gettime64),
#endif

	/* Lower the memory limit, but only that of this process: pid 0. */
	UNLESS(__NR_prlimit64, 4),
	LOAD_ARGUMENT(0),
	UNLESS(0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	ABSENT,

	/* Create a thread, not a process. libc falls back to clone() when clone3() fails. */
	UNLESS(__NR_clone, 4),
#ifdef __s390x__
	LOAD_ARGUMENT(1),
#else
	LOAD_ARGUMENT(0),
#endif
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	ABSENT,

	/* No executable memory: neither as a new mapping nor by changing one. */
	UNLESS(__NR_mprotect, 4),
	LOAD_ARGUMENT(2),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
	RETURN(SECCOMP_RET_ALLOW),
	ABSENT,
#ifdef __NR_mmap
	UNLESS(__NR_mmap, 4),
	LOAD_ARGUMENT(2),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
	RETURN(SECCOMP_RET_ALLOW),
	ABSENT,
#endif
#ifdef __NR_mmap2
	UNLESS(__NR_mmap2, 4),
	LOAD_ARGUMENT(2),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
	RETURN(SECCOMP_RET_ALLOW),
	ABSENT,
#endif

	/* chattr(1) */
	UNLESS(__NR_ioctl, 4),
	LOAD_ARGUMENT(1),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)FS_IOC_GETFLAGS, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)FS_IOC_SETFLAGS, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),

	ABSENT,
};

int confine_calls(void)
{
	const struct sock_fprog program = {.len = ARRAY_SIZE(calls),
					   .filter = (struct sock_filter *)calls};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}
