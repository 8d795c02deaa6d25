// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The system call policy. Native, build time only. It must never allow what reaches past the
 * machine's namespaces and cgroup: handles of files outside (open_by_handle_at), the host's swap,
 * kernel image, quotas, or events of the whole host (fanotify).
 *
 * How a row is chosen: the kernel's own check is enough for what is bound to a namespace, so
 * unshare, clone3 and setns are allowed and, in a user namespace, nested containers work. What
 * answers to the whole host waits behind a gate. A newcomer to the kernel is ENOSYS until somebody
 * has read what it does.
 */
#include "host/seccomp-gen/policy.h"

#include <errno.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const char *const gate_clock[] = {
	"adjtimex",	   "clock_adjtime", "clock_adjtime64", "clock_settime",
	"clock_settime64", "settimeofday",  "stime",	       NULL};
static const char *const gate_module[] = {"delete_module", "finit_module", "init_module", NULL};
static const char *const gate_raw_io[] = {"ioperm",
					  "iopl",
					  "pciconfig_iobase",
					  "pciconfig_read",
					  "pciconfig_write",
					  "s390_pci_mmio_read",
					  "s390_pci_mmio_write",
					  NULL};
static const char *const gate_bpf[] = {"bpf", NULL};
static const char *const gate_perf[] = {"perf_event_open", NULL};
static const char *const gate_syslog[] = {"syslog", NULL};
static const char *const gate_account[] = {"acct", NULL};
static const char *const gate_mount[] = {
	"fsconfig",	 "fsmount",    "fsopen",    "fspick",	      "mount",
	"mount_setattr", "move_mount", "open_tree", "open_tree_attr", "pivot_root",
	"umount",	 "umount2",    NULL};
static const char *const gate_vsock[] = {NULL}; /* an argument of "socket", see policy.h */
static const char *const gate_keyring[] = {"add_key", "keyctl", NULL};

/*
 * keyring: since 5.3 a user namespace has keyrings of its own, but a key is found by its number in
 * all of them, and given to whoever has the right uid on the host. So where uid 0 inside is uid 0
 * outside, a machine could read what the host's root keeps there, such as disk passphrases. ENOSYS,
 * because keyutils, Kerberos, systemd and crun take that for a kernel without keyrings and carry
 * on.
 *
 * mount: where uid 0 inside is uid 0 outside, a user namespace made inside could mount the v1
 * cgroup hierarchies, whose files belong to that uid, and steer the host's groups (K01).
 *
 * vsock: no network namespace has an AF_VSOCK of its own: it leads to the hypervisor and its other
 * guests, and to what listens on the host.
 */
const struct policy_gate policy_gates[] = {
	{"clock", "CAP_SYS_TIME", EPERM, gate_clock},
	{"module", "CAP_SYS_MODULE", EPERM, gate_module},
	{"raw-io", "CAP_SYS_RAWIO", EPERM, gate_raw_io},
	{"bpf", "CAP_BPF", EPERM, gate_bpf},
	{"perf", "CAP_PERFMON", EPERM, gate_perf},
	{"syslog", "CAP_SYSLOG", EPERM, gate_syslog},
	{"account", "CAP_SYS_PACCT", EPERM, gate_account},
	{"keyring", "SECCOMP_IF_OWN_USERS", ENOSYS, gate_keyring},
	{"mount", "SECCOMP_IF_ADMINISTRATOR", EPERM, gate_mount},
	{"vsock", "SECCOMP_IF_VSOCK", EAFNOSUPPORT, gate_vsock},
};
const size_t policy_gate_count = LENGTH(policy_gates);
const int policy_gate_vsock = LENGTH(policy_gates) - 1;

/*
 * Source: scripts/syscall.tbl and arch/x86/entry/syscalls/syscall_64.tbl of Linux 6.18 and 6.19.
 */
const struct policy_new_syscall policy_new_syscalls[] = {
	{"uretprobe", 335, "x86_64"},	  {"uprobe", 336, "x86_64"},
	{"memfd_secret", 447, NULL},	  {"process_mrelease", 448, NULL},
	{"futex_waitv", 449, NULL},	  {"set_mempolicy_home_node", 450, NULL},
	{"cachestat", 451, NULL},	  {"fchmodat2", 452, NULL},
	{"map_shadow_stack", 453, NULL},  {"futex_wake", 454, NULL},
	{"futex_wait", 455, NULL},	  {"futex_requeue", 456, NULL},
	{"statmount", 457, NULL},	  {"listmount", 458, NULL},
	{"lsm_get_self_attr", 459, NULL}, {"lsm_set_self_attr", 460, NULL},
	{"lsm_list_modules", 461, NULL},  {"mseal", 462, NULL},
	{"setxattrat", 463, NULL},	  {"getxattrat", 464, NULL},
	{"listxattrat", 465, NULL},	  {"removexattrat", 466, NULL},
	{"open_tree_attr", 467, NULL},	  {"file_getattr", 468, NULL},
	{"file_setattr", 469, NULL},	  {"listns", 470, NULL},
};
const size_t policy_new_syscall_count = LENGTH(policy_new_syscalls);

/*
 * request_key: for a key that is missing the kernel starts /sbin/request-key as root of the host,
 * outside of all namespaces, with a type and a description of the caller's choice.
 * io_uring: every operation in a ring runs without passing this filter, so the socket row below
 * would be an ornament, and it has been a steady source of kernel holes. Its users (liburing,
 * libuv, PostgreSQL, MariaDB) fall back to epoll and read() on ENOSYS, not always on EPERM.
 * The others have no code left in any kernel since 5.14, or soon after; ENOSYS is the kernel's
 * word.
 */
const char *const policy_absent[] = {"io_uring_enter",
				     "io_uring_register",
				     "request_key",
				     "io_uring_setup",
				     "_sysctl",
				     "afs_syscall",
				     "bdflush",
				     "break",
				     "create_module",
				     "epoll_ctl_old",
				     "epoll_wait_old",
				     "ftime",
				     "get_kernel_syms",
				     "getpmsg",
				     "gtty",
				     "idle",
				     "lock",
				     "lookup_dcookie",
				     "mpx",
				     "multiplexer",
				     "nfsservctl",
				     "prof",
				     "profil",
				     "putpmsg",
				     "query_module",
				     "security",
				     "stty",
				     "tuxcall",
				     "ulimit",
				     "vserver",
				     NULL};

const char *const policy_allowed[] = {
	/* reading and writing */
	"_llseek", "close", "close_range", "dup", "dup2", "dup3", "lseek", "pread64", "preadv",
	"preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readv", "write", "writev",

	/* files */
	"access", "arm_fadvise64_64", "cachestat", "chdir", "chmod", "chown", "chown32",
	"copy_file_range", "creat", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
	"fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
	"fcntl", "fcntl64", "fgetxattr", "file_getattr", "file_setattr", "flistxattr", "flock",
	"fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
	"ftruncate", "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr",
	"getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
	"lchown", "lchown32", "lgetxattr", "link", "linkat", "listxattr", "listxattrat",
	"llistxattr", "lremovexattr", "lsetxattr", "lstat", "lstat64", "memfd_create",
	"memfd_secret", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat",
	"oldfstat", "oldlstat", "oldstat", "open", "openat", "openat2", "readahead", "readdir",
	"readlink", "readlinkat", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
	"rmdir", "sendfile", "sendfile64", "setxattr", "setxattrat", "splice", "stat", "stat64",
	"statfs", "statfs64", "statx", "symlink", "symlinkat", "tee", "truncate", "truncate64",
	"umask", "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes",
	"vmsplice",

	/* to disk */
	"arm_sync_file_range", "fdatasync", "fsync", "msync", "sync", "sync_file_range",
	"sync_file_range2", "syncfs",

	/* mounts */
	"chroot", "listmount", "listns", "statmount",

	/* sockets; "socket" itself has a verdict of its own, "socketcall" where it is the old way
	 */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
	"listen", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg",
	"sendmsg", "sendto", "setsockopt", "shutdown", "socketcall", "socketpair",

	/* processes and namespaces */
	"clone", "clone3", "execve", "execveat", "exit", "exit_group", "fork", "getpgid", "getpgrp",
	"getpid", "getppid", "getrusage", "getsid", "gettid", "kcmp", "kill", "personality",
	"pidfd_getfd", "pidfd_open", "pidfd_send_signal", "prctl", "process_madvise",
	"process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace", "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "set_tid_address", "setns", "setpgid", "setsid", "tgkill", "times",
	"tkill", "unshare", "vfork", "wait4", "waitid", "waitpid",

	/* what the payload may take from itself */
	"capget", "capset", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
	"seccomp",

	/* users */
	"getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
	"getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32",
	"setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
	"setgroups32", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid",
	"setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",

	/* limits, scheduling, NUMA */
	"get_mempolicy", "getcpu", "getpriority", "getrlimit", "ioprio_get", "ioprio_set", "mbind",
	"migrate_pages", "move_pages", "nice", "prlimit64", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
	"sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
	"set_mempolicy", "set_mempolicy_home_node", "setpriority", "setrlimit", "ugetrlimit",

	/* the machine's name, its reboot (its own PID namespace only), its terminals */
	"oldolduname", "olduname", "reboot", "setdomainname", "sethostname", "sysinfo", "uname",
	"vhangup",

	/* memory */
	"brk", "madvise", "map_shadow_stack", "membarrier", "mincore", "mlock", "mlock2",
	"mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "munlock", "munlockall",
	"munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "remap_file_pages",

	/* threads */
	"futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",
	"get_robust_list", "getrandom", "restart_syscall", "rseq", "set_robust_list",

	/* signals */
	"pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "sgetmask", "sigaction", "sigaltstack",
	"signal", "signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend",
	"ssetmask",

	/* reading clocks, timers */
	"alarm", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep",
	"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
	"timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
	"timerfd_gettime64", "timerfd_settime", "timerfd_settime64",

	/* waiting for several things */
	"_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",
	"epoll_wait", "eventfd", "eventfd2", "io_cancel", "io_destroy", "io_getevents",
	"io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit", "poll", "ppoll",
	"ppoll_time64", "pselect6", "pselect6_time64", "select",

	/* System V and POSIX IPC */
	"ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
	"mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd",
	"pipe", "pipe2", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "shmat",
	"shmctl", "shmdt", "shmget",

	/*
	 * single ABIs: threads' pointers, caches, vector set-up. uretprobe and uprobe are what a
	 * probe of the host's puts into the payload's code: denying them would kill the payload.
	 */
	"arch_prctl", "breakpoint", "cacheflush", "get_thread_area", "get_tls",
	"riscv_flush_icache", "s390_guarded_storage", "s390_sthyi", "set_thread_area", "set_tls",
	"swapcontext", "uprobe", "uretprobe", NULL};
