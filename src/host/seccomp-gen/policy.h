/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a payload may ask the kernel, as tables of names. Part of the native build-time generator:
 * never linked into redd. A name that no table holds is denied by what the kernel knows of it:
 * EPERM for a system call known when redd was built, ENOSYS for a number newer than that.
 */
#pragma once

#include <stddef.h>

enum verdict_kind {
	VERDICT_RETURN, /* errno_closed, or allow when it is 0 */
	VERDICT_IOCTL,	/* allow, except the terminal-injection commands */
	VERDICT_SOCKET, /* allow, except the audit netlink protocol and, by its gate, AF_VSOCK */
	/* Allow, except making a socket while the gate is closed: the filter sees no family. */
	VERDICT_SOCKETCALL,
};

/*
 * With gate >= 0 the verdict is errno_closed while the gate is closed and allow once it is open.
 */
struct verdict {
	enum verdict_kind kind;
	int errno_closed;
	int gate; /* index into policy_gates, or -1 */
};

/* When a gate is open: the capability is in the bounding set, or the condition named holds. */
struct policy_gate {
	const char *name;
	const char *condition; /* a C expression for the generated header */
	int errno_closed;
	const char *const *syscalls; /* NULL-terminated */
};

/* System calls too new for the oldest libseccomp we build with; one number on every ABI. */
struct policy_new_syscall {
	const char *name;
	int number;
	const char *only_abi; /* NULL: all */
};

extern const struct policy_gate policy_gates[];
extern const size_t policy_gate_count;
extern const int policy_gate_vsock; /* index into policy_gates: of the two verdicts on sockets */
extern const struct policy_new_syscall policy_new_syscalls[];
extern const size_t policy_new_syscall_count;
extern const char *const policy_allowed[]; /* NULL-terminated */
extern const char *const policy_absent[];  /* NULL-terminated: ENOSYS though known */
