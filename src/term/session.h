/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A person's terminal connected to a machine, until one of them ends. Loud. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct session {
	const char *machine;
	int stream; /* a pty's master, or what AttachConsole gave */
	bool framed;
	pid_t child; /* a child of ours that ends the session, or 0 */
	/* The other side hangs up and comes back: a getty starts so. Ends after the first input. */
	bool getty;
	bool greet; /* say how to leave */
};

enum session_end {
	SESSION_END_ESCAPE,
	SESSION_END_CHILD,
	SESSION_END_HANGUP,
	SESSION_END_SIGNAL,
};

/*
 * Signals that session_run() waits for have to be blocked before the child is made: a SIGCHLD
 * before that would be lost. 0 or -errno.
 */
int session_block_signals(void);
/* 0 with *ret_end, and *ret_status (of waitpid) when the child has ended; or -errno. */
int session_run(const struct session *session, enum session_end *ret_end, int *ret_status);
/* Standard input and output are both terminals. */
bool session_has_terminal(void);
