/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes datagrams of the host's sockets on to the machine and its answers back, from the address
 * that was asked. Each client has a session, that is a socket of its own towards the machine, until
 * nothing came either way for the idle time. Bounded: PROXY_UDP_SESSIONS_MAX; whose session was
 * never answered gives way first, what is more is dropped. Quiet. Supervisor's side.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "serve/proxy.h"

struct proxy_udp;

#define PROXY_UDP_SESSIONS_MAX 256
#define PROXY_UDP_IDLE_US (60 * UINT64_C(1000000))

int proxy_udp_new(struct event_loop *loop, uint64_t idle_us, struct proxy_udp **ret);
void proxy_udp_free(struct proxy_udp *proxy);
/* `fd` is bound, does not block, and is taken, also on error. 0 or -errno. */
int proxy_udp_listen(struct proxy_udp *proxy, int fd, uint16_t guest_port, const void *owner);
void proxy_udp_drop(struct proxy_udp *proxy, const void *owner);
/* Ends all sessions. */
void proxy_udp_set_target(struct proxy_udp *proxy, const struct proxy_target *target);
size_t proxy_udp_count(const struct proxy_udp *proxy);
