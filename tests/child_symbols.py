#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Checks what the code between clone3() and execve() calls. In the child, a lock that another thread held
stays locked for ever, and libc's caches describe the parent. So these objects may import system call
wrappers and plain memory functions only: nothing that allocates, prints, or looks up a name.

    child_symbols.py BUILD_DIR
"""

# security row: X10
import re
import subprocess
import sys
from pathlib import Path

# src/child, and the three processes that enter a running machine.
OBJECTS = ("child/*", "machine/enter_child.c", "machine/enter_maker.c", "machine/enter_inside.c", "machine/enter_wait.c")
ALLOWED = {
    # memory and strings, without state
    "memchr", "memcmp", "memcpy", "memmove", "memset", "memrchr", "explicit_bzero", "strlen", "strnlen", "strcmp",
    "strncmp", "strchr", "strrchr", "strcspn", "strspn", "strcat", "stpcpy", "mempcpy", "strchrnul",
    # called by code that the compiler generates
    "__stack_chk_fail", "__errno_location", "_GLOBAL_OFFSET_TABLE_", "__memcpy_chk", "__memset_chk", "__memmove_chk",
    "__stpcpy_chk", "__strcat_chk", "__read_chk", "__pread_chk", "__readlinkat_chk", "__getcwd_chk", "__assert_fail", "environ", "__environ",
    # thin wrappers of system calls
    "syscall", "_exit", "accept4", "bind", "capget", "capset", "chdir", "chroot", "clone", "close", "close_range", "connect",
    "dup", "dup2", "dup3", "execve", "faccessat", "fchdir", "fchmod", "fchmodat", "fchown", "fchownat", "fcntl",
    "fcntl64", "fexecve", "fsetxattr", "ftruncate", "ftruncate64", "futimens", "fstat", "fstat64", "fstatat", "fstatat64", "fstatfs", "fstatfs64", "getegid", "geteuid",
    "getgid", "getpid", "getrlimit", "getrlimit64", "getppid", "getuid", "ioctl", "kill", "linkat", "lseek", "lseek64", "madvise", "mkdirat", "mknodat",
    "mount", "open", "open64", "openat", "openat64", "pipe2", "pivot_root", "poll", "ppoll", "prctl", "pread",
    "pread64", "prlimit", "prlimit64", "pwrite", "pwrite64", "read", "readlinkat", "recv", "recvmsg", "renameat",
    "sched_setaffinity", "send", "sendmsg", "sendto", "setdomainname", "setgroups", "sethostname", "setns",
    "setpriority", "setresgid", "setresuid", "setrlimit", "setrlimit64", "personality", "sched_setscheduler", "setsid", "socket", "socketpair", "statfs",
    "symlinkat", "umask", "umount", "umount2", "unlinkat", "unshare", "wait4", "waitid", "waitpid", "write", "writev",
    # signals
    "sigaction", "sigaddset", "sigdelset", "sigemptyset", "sigfillset", "sigprocmask", "sigtimedwait", "sigwaitinfo",
    "signal", "__libc_current_sigrtmin", "__libc_current_sigrtmax", "sigwait",
    # clocks
    "clock_gettime", "clock_nanosleep", "nanosleep",
}  # fmt: skip
# Called by the ops mkdir, mkfile and write, which by ops.def run in the supervisor only (stage S).
SUPERVISOR_ONLY = {"path_make_dir_in_root", "path_make_file_in_root", "io_write_all"}
# The reason, for the message.
KNOWN_BAD = [
    (r"(m|c|re)alloc|free|strn?dup|v?asprintf|reallocarray", "allocates"),
    (r"f?v?s?n?printf|fputs?|puts|putchar|fopen.*|fwrite|perror|__.*printf_chk|stdout|stderr", "stdio"),
    (r"get(pw|gr|addr|host|serv).*|initgroups|nss.*", "looks a name up"),
    (r"setlocale|strerror.*|iconv.*|dcgettext", "locale"),
    (r"dlopen|dlsym", "loads code"),
    (r"pthread_.*|mtx_.*", "takes a lock"),
    (r"exit|atexit|abort", "runs handlers: use _exit"),
]
SANITIZERS = re.compile(r"__(asan|ubsan|lsan|tsan|sanitizer|sancov)_|__gcov|llvm_gcov")


def symbols(objects, *options):
    """{object: set of names}, read by nm."""
    result = {}
    for path in objects:
        out = subprocess.run(["nm", "--format=posix", *options, str(path)], capture_output=True, text=True, check=True).stdout
        result[path] = {line.split()[0].split("@")[0] for line in out.splitlines()}
    return result


def reason(name):
    for pattern, why in KNOWN_BAD:
        if re.fullmatch(pattern, name):
            return why
    return "not on the list of tests/child_symbols.py"


def main(build):
    layers = [pattern.split("/") for pattern in OBJECTS]
    objects = sorted(path for layer, name in layers for path in Path(build).glob(f"src/libredd_{layer}.a.p/{layer}_{name}.o"))
    if not objects:
        print("no objects of children: nothing to check")
        return 77
    imports = symbols(objects, "--undefined-only")
    if any(SANITIZERS.match(name) for names in imports.values() for name in names):
        print("built with sanitizers, whose symbols hide the answer")
        return 77
    own = set().union(*symbols(objects, "--defined-only", "--extern-only").values())
    found = [
        f"{path.name} imports {name}: {reason(name)}"
        for path, names in imports.items()
        for name in sorted(names - own - ALLOWED - SUPERVISOR_ONLY)
    ]
    print("\n".join(found) or f"{len(objects)} objects import allowed symbols only")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
