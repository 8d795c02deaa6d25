/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor gives up once its machine runs, so that an attacker who takes it over through
 * the network it serves, its console or its control socket gets less than root. Two things limit
 * what it can give up: it makes the machine again at each reboot, so it keeps what that needs; and
 * the next PID 1 inherits the loss, so it must never give up anything that a machine may have.
 * doc/decisions/0027-confined-supervisor.md. Supervisor's side.
 */
#include "supervise/confine.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/seccomp.h"
#include "lib/caps.h"
#include "lib/cleanup.h"
#include "log/log.h"

/* To serve the machine, to give back what it had, and to make it again. */
#define CAPS_NEEDED                                                                                \
	(/* files in the guest's tree and in its cgroup, as their owner */                         \
	 CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_DAC_READ_SEARCH) |        \
	 CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_MKNOD) |                       \
	 CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETUID) | /* its processes */                         \
	 CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_SETPCAP) | CAPS_BIT(CAP_SYS_PTRACE) |                   \
	 CAPS_BIT(CAP_SYS_RESOURCE) | /* a user namespace that has the host's user 0 */            \
	 CAPS_BIT(CAP_SETFCAP) |      /* links, packet filter, ports, raw frames */                \
	 CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_NET_BIND_SERVICE) |                                \
	 CAPS_BIT(CAP_NET_RAW) | /* namespaces, mounts, cgroups, the device filter */              \
	 CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_SYS_CHROOT) | CAPS_BIT(CAP_BPF))

static int limit_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The machine's own filter with the gates open that making a machine needs. */
static int filter_system_calls(const struct spec *spec, const struct host_facts *facts)
{
	autofree struct seccomp_program *program = NULL;
	struct sock_fprog filter;
	unsigned holds =
		SECCOMP_USER_NAMESPACE | SECCOMP_OWN_USERS | (spec->vsock ? SECCOMP_VSOCK : 0);
	int r = seccomp_select(facts->caps | CAPS_BIT(CAP_BPF), holds, &program);

	if (r < 0)
		return r;
	filter = (struct sock_fprog){.len = program->length, .filter = program->filter};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0 ? -errno : 0;
}

int confine_supervisor(const struct spec *spec, const struct host_facts *facts)
{
	int r;

	/* First, because a filter can only be set with CAP_SYS_ADMIN or with no_new_privs, which
	 * the next PID 1 would inherit. */
	r = filter_system_calls(spec, facts);
	if (r < 0)
		return log_errno(r, "filter the system calls of the supervisor of machine %s",
				 spec->machine);
	/* Without a user namespace the next PID 1 gets its capabilities from here. */
	r = limit_capabilities(facts->has_user_namespace ? CAPS_NEEDED : CAPS_NEEDED | facts->caps);
	if (r < 0)
		return log_errno(r, "drop capabilities of the supervisor of machine %s",
				 spec->machine);
	return 0;
}
