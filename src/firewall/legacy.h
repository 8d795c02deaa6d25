/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* x_tables, the kernel's older packet filter, whose drops no rule of nf_tables can undo. Quiet. */
#pragma once

#include <stdint.h>

/*
 * Whether the policy of FORWARD is DROP and no rule accepts the link both ways: 1, 0, or -errno.
 * Never makes the kernel load a filter that is not in use. nfproto: NFPROTO_IPV4, _IPV6.
 */
int firewall_legacy_drops(uint8_t nfproto, const char *link);
