/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Picks the payload's system call filter from what was compiled when redd was built. Runs in the
 * parent; the child only hands the instructions to the kernel. Never links or calls libseccomp.
 */
#include "host/seccomp.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/str.h"

#define SECCOMP_IF_OWN_USERS (-1)     /* a user namespace without the host's user 0 */
#define SECCOMP_IF_ADMINISTRATOR (-2) /* of a user namespace, or of the host */
#define SECCOMP_IF_VSOCK (-3)

struct seccomp_gate {
	int condition; /* a capability number, or SECCOMP_IF_… */
};

struct seccomp_patch {
	unsigned short index; /* of a "return errno" that the open gate makes "allow" */
	unsigned short gate;
};

#include "host/seccomp_filter.inc.h"

static bool gate_is_open(const struct seccomp_gate *gate, uint64_t caps, unsigned holds)
{
	bool user_namespace = holds & SECCOMP_USER_NAMESPACE;

	if (gate->condition == SECCOMP_IF_VSOCK)
		return holds & SECCOMP_VSOCK;
	if (gate->condition == SECCOMP_IF_OWN_USERS)
		return holds & SECCOMP_OWN_USERS;
	if (gate->condition == SECCOMP_IF_ADMINISTRATOR)
		return user_namespace || caps >> CAP_SYS_ADMIN & 1;
	return caps >> gate->condition & 1;
}

/*
 * Whether x32 programs can run. Under a filter of others the test itself may be fatal (systemd's
 * SystemCallArchitectures=native kills), so the answer is yes then.
 */
static bool kernel_has_tail(void)
{
	const long x32_bit = 0x40000000;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0)
		return true;
	return syscall(x32_bit | SYS_getpid) >= 0;
}

static void cut_tail(struct seccomp_program *p)
{
	p->length = SECCOMP_HEAD_LENGTH;
	p->filter[SECCOMP_TAIL_JUMP].k = SECCOMP_HEAD_LENGTH - 1 - SECCOMP_TAIL_JUMP - 1;
}

int seccomp_select(uint64_t caps_bounding, unsigned holds, struct seccomp_program **ret)
{
	struct seccomp_program *p = malloc(sizeof(*p) + sizeof(seccomp_base));

	if (!p)
		return -ENOMEM;
	p->length = ARRAY_SIZE(seccomp_base);
	memcpy(p->filter, seccomp_base, sizeof(seccomp_base));
	for (size_t i = 0; i < ARRAY_SIZE(seccomp_patches); i++) {
		const struct seccomp_patch *patch = &seccomp_patches[i];

		if (gate_is_open(&seccomp_gates[patch->gate], caps_bounding, holds))
			p->filter[patch->index].k = SECCOMP_RET_ALLOW;
	}
	if (SECCOMP_TAIL_JUMP != 0 && !kernel_has_tail())
		cut_tail(p);
	*ret = p;
	return 0;
}

bool seccomp_leaves_socketcall(void)
{
	return SECCOMP_LEAVES_SOCKETCALL;
}
