/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running a program inside a running machine. A waiter outside joins the leader's cgroup; what it
 * makes joins the namespaces, takes the machine's own confinement (capability bounding set, seccomp
 * filter, new session keyring, no descriptor but 0, 1, 2), becomes the user, and makes the process
 * inside, which executes with a fresh environment. No NSS, no dlopen, no code or configuration of
 * the guest is read on the way but its passwd and group files, by our own parser, within its root
 * (X01-X05, X10).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct machine_state;
struct sock_fprog;

struct enter_request {
	const char *user;	  /* name or number inside; NULL: root */
	char *const *argv;	  /* NULL: the user's login shell, as "-sh" */
	char *const *environment; /* added to the fresh one: NAME=VALUE; may be NULL */
	const char *chdir;	  /* inside; NULL: the user's home, else "/" */
	int stdio[3];		  /* become 0, 1, 2 */
	bool own_stdio[3];	  /* made for this program: they come to belong to the user */
	bool new_session;	  /* stdio[0] becomes the controlling terminal */
	/*
	 * The machine's own system call filter, as seccomp_select() of its bounding set gives it:
	 * the caller's duty, since the policy lives in host/, above this folder. NULL: none.
	 */
	const struct sock_fprog *seccomp;
};

/* What a filter is chosen by: the leader's bounding set, and whether it has a user namespace. */
int machine_read_confinement(const struct machine_state *machine, uint64_t *ret_caps_bounding,
			     bool *ret_user_namespace);

/*
 * Starts it. *ret_pid is a child of the caller that ends when the program does: with its exit code,
 * or with 128 + N for signal N. SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 sent to it
 * reach the program. When the calling thread ends, the program gets SIGHUP, and SIGKILL five
 * seconds later. A caller that is stopped holds nothing up in the machine.
 *
 * 0 or -errno after one message (loud): no such user (-ESRCH), no such program (-ENOENT), not
 * executable (-EACCES), a signal that ends the caller came first (-EINTR) … Not to be called with
 * SIGCHLD ignored: the child could not be waited for. A SIGCHLD may get lost meanwhile.
 */
int machine_enter(const struct machine_state *machine, const struct enter_request *request,
		  pid_t *ret_pid);

/* A new pty of the machine's own devpts, see term/pty.h. 0 or -errno, quiet. */
int machine_open_pty(const struct machine_state *machine, int *ret_master, int *ret_slave,
		     unsigned *ret_number);
