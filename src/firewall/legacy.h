/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The older packet filter of the kernel, x_tables, which no rule of nf_tables can change. Quiet. */
#pragma once

#include <stdint.h>

/*
 * Whether its filter drops by policy what is forwarded and names the link nowhere: 1, 0, or -errno.
 * Never makes the kernel load it: what isn't in use is left alone. nfproto: NFPROTO_IPV4, _IPV6.
 */
int firewall_legacy_drops(uint8_t nfproto, const char *link);
