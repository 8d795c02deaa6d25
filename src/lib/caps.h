/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities as masks with bit N for capability N: names, what a payload gets unless told
 * otherwise, and what this host can give. Data only: the child does the prctl() and capset().
 * Quiet, no allocation but where said. Source: include/uapi/linux/capability.h (41 names, the same
 * from Linux 5.9 to 6.18).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CAPS_BIT(number) (UINT64_C(1) << (number))
#define CAPS_ALL UINT64_MAX /* also those that a later kernel may add */

/* "CAP_NET_ADMIN" in capitals, or NULL for a number without a name. */
const char *caps_name(unsigned number);

/*
 * "CAP_NET_ADMIN,sys_ptrace", "all": separated by commas or white space, any case, CAP_ may be left
 * out, numbers 0..63 too. An empty list is 0. Returns 0, or -EINVAL; then *ret_bad, unless NULL,
 * points at the word in `list` that is none.
 */
int caps_parse_list(const char *list, uint64_t *ret, const char **ret_bad);

/*
 * The bounding set before the user adds to it or takes from it. With a user namespace it is wide,
 * systemd-nspawn's set: its powers end at the namespace. Without one it is narrow, 14 capabilities
 * and never CAP_SYS_ADMIN: a read-only /proc/sys or a mask is no boundary for a payload that may
 * remount it. A private network adds CAP_NET_ADMIN; a shared one inside a user namespace takes
 * CAP_NET_BIND_SERVICE away, which has no power over the host's ports there.
 */
uint64_t caps_default(bool user_namespace, bool private_network);

/*
 * What can be granted: every capability of the running kernel inside a new user namespace,
 * otherwise this process's permitted and bounding sets together. Never fails: the sets of a process
 * can always be read. A wish beyond it must be cut down, or capset() in the child gives EPERM.
 */
uint64_t caps_grantable(bool user_namespace);

/* The bounding set of this process. */
uint64_t caps_current_bounding(void);

/* The highest capability that the running kernel knows (40 from 5.9 on). */
unsigned caps_last(void);
