/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between enter.c, which resolves everything, and the three processes that are made of it, which
 * only make system calls:
 *
 *   the waiter (enter_child.c, enter_wait.c), a child of the caller, goes into the machine's
 * cgroups and stays outside otherwise. It makes the maker, lets go of everything, reaps the process
 * inside and ends as it does.
 *
 *   the maker (enter_maker.c), a child of the waiter that has its memory, as in vfork(2), goes into
 *   the machine's namespaces; but into that of pids go its children only: nobody inside can name
 *   it. It takes off all that is the host's, becomes the user, makes the process inside and ends.
 *
 *   the process inside (enter_inside.c), a child of the waiter too, is all that the machine sees.
 *   It is born with the ids and capabilities that its program gets, with 0, 1, 2 and the job, and
 *   with nothing that is the host's: no descriptor, memory, keyring or session (X02 to X04).
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "lib/memory.h"
#include "machine/oom.h"

/* In their order. From TERMINAL on it is the process inside that reports. */
#define ENTER_STAGES(X)                                                                            \
	X(PREPARE, "prepare the process")                                                          \
	X(CGROUP, "join the machine's cgroups")                                                    \
	X(NAMESPACES, "join the machine's namespaces")                                             \
	X(ROOT, "enter the machine's root directory")                                              \
	X(KEYRING, "make a session keyring")                                                       \
	X(SCOPE, "leave the abstract sockets of the host")                                         \
	X(SECCOMP, "install the system call filter")                                               \
	X(CAPS, "drop capabilities")                                                               \
	X(USER, "become the user")                                                                 \
	X(FORK, "fork inside the machine")                                                         \
	X(TERMINAL, "take the terminal")                                                           \
	X(CHDIR, "change to the working directory")                                                \
	X(EXEC, "execute")

#define ENTER_STAGE_ENUM(id, text) ENTER_STAGE_##id,
enum enter_stage { ENTER_STAGES(ENTER_STAGE_ENUM) ENTER_STAGE_COUNT };

enum enter_state { ENTER_STATE_UNKNOWN, ENTER_STATE_STARTED, ENTER_STATE_FAILED };

/* In memory that two processes share: a descriptor for it would be one more inside. */
struct enter_report {
	uint32_t state; /* enum enter_state, written last */
	uint32_t stage; /* enum enter_stage, where it failed */
	int32_t error;	/* negative errno */
};

/* Of v1 hierarchies; the kernel has 14 controllers, and a host may name one more. */
#define ENTER_V1_MAX 32

struct enter_job {
	pid_t caller;
	int pidfd, root_fd;
	int v1_tasks[ENTER_V1_MAX]; /* of the machine's v1 cgroups, which the waiter moves into */
	size_t v1_count;
	int namespaces; /* CLONE_NEW… */
	int stdio[3];
	bool new_session;
	uint64_t caps_bounding;
	bool no_new_privileges;
	unsigned long personality;
	char oom_score[OOM_SCORE_TEXT];
	struct rlimit limits[RLIM_NLIMITS];
	bool scoped;		   /* as the machine's own processes are */
	struct sock_fprog seccomp; /* of length 0: none */
	uint32_t uid, gid;
	const gid_t *groups;
	size_t n_groups;
	const char *chdir;
	bool chdir_is_home; /* may be missing: then "/" */
	char **programs;    /* tried one after the other */
	char **argv;
	char **environment;

	/* Filled by enter_job_pack(). */
	struct memory_range place;   /* of this job and all that it points to */
	struct memory_map private;   /* the caller's memory, with the place */
	char *stack_top;	     /* of the process inside; grows down within the place */
	struct enter_report *report; /* the waiter's and the maker's, for the caller */
	struct enter_report
		*inside; /* for the waiter; whoever may trace the process writes it too */
};

/* Of the waiter's, for its maker. */
struct enter_birth {
	const struct enter_job *job;
	pid_t waiter;
	pid_t inside; /* by the kernel, before that process runs; 0: there is none */
	bool is_over; /* that process has executed or ended */
};

/*
 * Copies a job, and what it points to, into one place of its own, which is all that the process
 * inside gets of the caller's memory. 0 or -errno, quiet; enter_job_free() takes NULL too.
 */
int enter_job_pack(const struct enter_job *job, struct enter_job **ret);
void enter_job_free(struct enter_job *job);
static inline void enter_job_freep(struct enter_job **job)
{
	enter_job_free(*job);
}

/* The waiter. Never returns. */
void enter_child_run(const struct enter_job *job) __attribute__((noreturn));
/*
 * The maker: for clone(2), with a struct enter_birth. Ends when the process inside has executed or
 * ended, and not before; otherwise after a report to the caller, unless it is killed.
 */
int enter_maker_run(void *birth);
/* Reaps the process inside, passes signals on to it, and ends as it does. Never returns. */
void enter_wait(const struct enter_job *job, pid_t pid) __attribute__((noreturn));
/* The process inside: for clone(2), with the job. Executes, or ends after a report to the waiter.
 */
int enter_inside_run(void *job);

/* Not dumpable, and killed by `signal` with its parent; a change of ids resets both. 0 or -errno.
 */
int enter_hide_and_follow(int signal);
/* Fails the entering: tells the caller and ends. Not for the process inside. */
void enter_fail(const struct enter_job *job, enum enter_stage stage, int error)
	__attribute__((noreturn));
/* Permitted and effective: what of `keep` there is; inheritable: nothing (CVE-2022-24769). */
int enter_set_caps(uint64_t keep);
/* Into a directory within the root, by no magic link (P07); -EXDEV when it lies outside. */
int enter_change_directory(const char *path);
/* Writes what the others read, the state last. */
void enter_tell(struct enter_report *report, enum enter_state state, enum enter_stage stage,
		int error);
/*
 * What the process inside has reported, once it has executed or ended. Whoever may trace it can
 * write there: what no honest process says is ENTER_STAGE_FORK with -EPROTO.
 */
struct enter_report enter_read_inside(const struct enter_report *inside);
