/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the init of a machine for a clean stop, in the way that it understands: signals
 * (systemd, busybox), a fifo (sysvinit, OpenRC), two files and a signal (runit). No program of the
 * machine is run for it. Quiet.
 */
#pragma once

#include <stdbool.h>

struct machine_state;
struct leader;

enum machine_init {
	MACHINE_INIT_UNKNOWN,
	MACHINE_INIT_SYSTEMD,
	MACHINE_INIT_BUSYBOX,
	MACHINE_INIT_OPENRC,
	MACHINE_INIT_SYSVINIT,
	MACHINE_INIT_RUNIT,
	MACHINE_INIT_COUNT,
};

enum machine_ask {
	MACHINE_ASK_POWEROFF,
	MACHINE_ASK_REBOOT,
};

/* By what PID 1 executes and what it has made; -errno when it is gone. */
int machine_detect_init(const struct machine_state *machine, enum machine_init *ret);

/*
 * In a process of the supervisor's that does nothing else: it has only the rights on files of the
 * machine's root afterwards. Never blocks for longer than 50 ms. 0: asked. 1: asked by a signal
 * that an init which has just begun may have missed. -EOPNOTSUPP: an init that we don't know, which
 * the caller may send a signal of its own choice. -EAGAIN: not ready to be asked yet. -ESRCH: gone.
 * Other -errno: asking failed.
 */
int machine_ask_stop(const struct machine_state *machine, enum machine_ask ask);
