/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system call filter of a payload: an allow-list for every ABI of the machine, compiled when
 * redd is built (seccomp-gen/). Unknown numbers give ENOSYS, known but refused ones EPERM. Quiet.
 *
 * Some calls wait behind gates, which this opens by what the payload holds: changing the clock with
 * CAP_SYS_TIME, modules with CAP_SYS_MODULE, I/O ports with CAP_SYS_RAWIO, bpf with CAP_BPF,
 * perf_event_open with CAP_PERFMON, syslog with CAP_SYSLOG, acct with CAP_SYS_PACCT, the kernel's
 * keyrings with users of its own, mounting with a user namespace or CAP_SYS_ADMIN, and AF_VSOCK,
 * which no namespace contains, where a setting says so. An open gate replaces one value in the one
 * program; nothing is compiled or stacked at run time.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/cleanup.h"

/* One block of memory: free() or autofree releases it with its instructions. */
struct seccomp_program {
	unsigned short length; /* instructions */
	struct sock_filter filter[];
};

/* What opens gates besides capabilities; bits. */
enum seccomp_holds {
	SECCOMP_USER_NAMESPACE = 1 << 0,
	SECCOMP_VSOCK = 1 << 1,
	SECCOMP_OWN_USERS = 1 << 2, /* and none of them is root on the host */
};

/* A range of users that begins at 0 contains the host's root. */
static inline unsigned seccomp_holds(uint32_t uid_shift, uint32_t uid_range, bool vsock)
{
	return (uid_range > 0 ? SECCOMP_USER_NAMESPACE : 0) |
	       (uid_range > 0 && uid_shift > 0 ? SECCOMP_OWN_USERS : 0) |
	       (vsock ? SECCOMP_VSOCK : 0);
}

/*
 * The filter for a payload with this bounding set and these `holds`. 0 or -ENOMEM.
 *
 * To be installed in the child with PR_SET_NO_NEW_PRIVS or while it still has CAP_SYS_ADMIN in its
 * user namespace: before capabilities are reduced, not after. The filter allows capset, prctl,
 * setresuid and execve.
 */
int seccomp_select(uint64_t caps_bounding, unsigned holds, struct seccomp_program **ret);

/* An ABI here makes sockets by socketcall(2), so AF_VSOCK can't be kept from its programs. */
bool seccomp_leaves_socketcall(void);
