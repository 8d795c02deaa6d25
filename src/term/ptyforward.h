/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forwarding between the caller's terminal and a machine's: a pty's master, or the stream that
 * AttachConsole gives (control.h). The caller's terminal is never handed to a machine (T01): bytes
 * are copied. It is raw while a forwarder lives, and as it was before afterwards. Buffers are
 * bounded: a side that does not read stops the other. Quiet.
 *
 * Hot keys: Control-] three times within a second leaves; with `hotkeys` Control-] twice and "r"
 * or "p" too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_loop;
struct ptyforward;

#define PTYFORWARD_ESCAPE ']'
#define PTYFORWARD_REBOOT 'r'
#define PTYFORWARD_POWEROFF 'p'

struct ptyforward_config {
	int stream;  /* borrowed; becomes non-blocking */
	int input;   /* -1: output only */
	int output;  /* -1: none: what comes is only given to on_data */
	bool framed; /* what goes to the stream is the frames of control.h */
	bool hotkeys;
	void *userdata;
	/* All bytes that come, before they are shown: for logs. May be NULL. */
	void (*on_data)(const void *data, size_t size, void *userdata);
	/* One of PTYFORWARD_…; a negative return ends the loop with it. */
	int (*on_key)(char key, void *userdata);
	/* The other side of the stream is closed. true: come back when somebody opens it again. */
	bool (*on_hangup)(void *userdata);
	/* Standard input ended, or the terminal is gone. May be NULL. */
	int (*on_input_end)(void *userdata);
};

/* Starts to forward, and sets the machine's window size. 0 or -errno. */
int ptyforward_new(struct event_loop *loop, const struct ptyforward_config *config,
		   struct ptyforward **ret);
/* Restores the terminal; NULL is fine. The descriptors of the config stay open. */
void ptyforward_free(struct ptyforward *forward);
static inline void ptyforward_freep(struct ptyforward **forward)
{
	ptyforward_free(*forward);
}

/* Tells the machine the terminal's size: at SIGWINCH. */
void ptyforward_resize(struct ptyforward *forward);
/* Copies what the stream still has, without waiting, at most 64 KiB: after the program has ended.
 */
void ptyforward_drain(struct ptyforward *forward);
/* Has a byte been forwarded from the caller? */
bool ptyforward_had_input(const struct ptyforward *forward);
