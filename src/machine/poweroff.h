/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the init of a machine for a clean stop: by signals (systemd, busybox), a fifo (sysvinit,
 * OpenRC), two files and a signal (runit). Runs no program of the machine. Quiet.
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

/* Detects the init by the program of PID 1 and by its fifos. -ESRCH or another when it is gone. */
int machine_detect_init(const struct machine_state *machine, enum machine_init *ret);

/*
 * Call it in a process that does nothing else: the process loses its capabilities over files. Never
 * blocks for longer than 50 ms. 0: asked. 1: asked by a signal that an init may have missed if it
 * has just begun. -EOPNOTSUPP: an unknown init; the caller may send a signal of its choice.
 * -EAGAIN: not ready to be asked yet. -ESRCH: gone. Other -errno: asking failed.
 */
int machine_ask_stop(const struct machine_state *machine, enum machine_ask ask);
