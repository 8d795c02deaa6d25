/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry of machines: files under /run/redd/machines/NAME/, written by the supervisor only.
 *
 *   lock     held exclusively (OFD) by the supervisor as long as it lives: liveness itself
 *   state    KEY=VALUE lines, replaced as a whole; see struct machine_state
 *   control  Varlink socket, see machine/control.h
 *   root     mount point, used in the supervisor's own mount namespace only
 *
 * A directory whose lock is free was left by a crash: machine_clean_dead() removes it. No machine
 * takes over the directory of another, so an open directory means one machine, whatever machine has
 * the name later.
 * Liveness of the leader is (pid, start time, boot id), never a bare pid (X08).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/time.h"

#define MACHINE_RUN_DIR "/run/redd/machines"
#define MACHINE_LOG_DIR "/var/log/redd"

enum machine_phase {
	MACHINE_PHASE_STARTING, /* the leader may not be known yet (0) */
	MACHINE_PHASE_RUNNING,	/* ready */
	MACHINE_PHASE_STOPPING,
};

struct machine_state {
	char *name;
	enum machine_phase phase;
	pid_t supervisor;
	pid_t leader;		   /* PID 1 of the machine, as the host numbers it; 0: none */
	uint64_t leader_starttime; /* field 22 of /proc/PID/stat, clock ticks since boot */
	char *boot_id;		   /* /proc/sys/kernel/random/boot_id */
	uint64_t since_us;	   /* real time of the start */
	char *image;		   /* host path of the tree */
	char *cgroup;		   /* path below the cgroup2 root, "/redd/NAME" */
	char *uuid;		   /* 32 hex digits */
	char *os;		   /* PRETTY_NAME, or NULL */
	char *init;		   /* path inside of what was executed */
	char *interface;	   /* host side of the veth, or NULL */
	char **addresses;	   /* of host0, as text, IPv4 first; then its name is published */
	char **ports;		   /* as net_port_format() writes them */
	char *zone;		   /* or NULL */
	char *bridge;		   /* or NULL */
	char **network_rules;	   /* of the packet filter, in a few words: "masquerade" */
	char **network_notes;	   /* sentences for users: conflicts with other services */
	uint32_t uid_shift;
	uint32_t uid_range; /* 0: the host's user namespace */
	bool managed;	    /* by `start`; else `run` */
	bool ephemeral;
	bool booted; /* an init runs inside: `login`, `stop` make sense */
	bool private_network;
	bool vsock;  /* its filter lets AF_VSOCK through */
	bool scoped; /* can't reach abstract sockets of the network namespace that it shares */
	/* Bounding set of PID 1, in hexadecimal. NULL: a redd that did not record it yet. */
	char *capabilities;
	uint64_t stop_timeout_us;
	unsigned boots; /* 1, and one more for each reboot */

	char *nix_system;	 /* store path of what was booted, or NULL */
	uint32_t nix_generation; /* of the machine's own profile; 0: it has none */
	char *nix_store;	 /* "closure", "whole", "daemon"; NULL: the tree's own */
};

void machine_state_done(struct machine_state *state);
#define automachine autocall(machine_state_done)

struct json_object;

/* "starting", "running", "stopping". */
const char *machine_phase_name(enum machine_phase phase);
/* All fields, for Describe and --json; the caller puts it. NULL without memory. */
struct json_object *machine_state_to_json(const struct machine_state *state);

/* 0 or -errno; quiet. Writes (as a whole) / reads `state` below the machine's directory. */
int machine_state_write(int dir_fd, const struct machine_state *state);
int machine_state_read(int dir_fd, struct machine_state *ret);

/*
 * Makes /run/redd/machines/NAME (0700) and takes its lock. First removes what a dead supervisor
 * left there. Quiet. *ret_lock_fd must stay open for the machine's life. Returns the directory's
 * descriptor, -EEXIST when a supervisor of that name lives, or -errno.
 */
int machine_claim(const char *name, int *ret_lock_fd);
/* Removes the directory's files and itself, while the lock is held. */
int machine_release(const char *name, int dir_fd);

/*
 * As machine_find(), but returns the machine's directory, which identifies it from now on.
 */
int machine_open(const char *name, struct machine_state *ret);
/* Whether the machine of this directory lives: its supervisor holds the lock until it ends. */
bool machine_is_alive(int dir_fd);

/*
 * Reads a live machine. -ESRCH when none has that name (leftovers of a dead one don't count).
 * Quiet. Between the claim and the first machine_state_write() only name and phase are known.
 */
int machine_find(const char *name, struct machine_state *ret);
/* All live machines, sorted by name; the caller frees with machine_list_free(). */
int machine_list(struct machine_state **ret, size_t *ret_count);
void machine_list_free(struct machine_state *list, size_t count);

/* Waits until the supervisor of this directory releases its lock, never for a later machine of the
 * same name. 0, or -errno. */
int machine_wait_end(int dir_fd);

/* The start time of a process (field 22 of its stat), and the id of this boot. */
int machine_read_starttime(pid_t pid, uint64_t *ret);
int machine_read_boot_id(char **ret);

/* A pidfd of the leader, verified by start time and boot id; -ESRCH when it is gone. */
int machine_open_leader(const struct machine_state *state);

/* Timeouts for machine_clean_dead(): in commands with another purpose, and in `redd clean`. */
#define MACHINE_CLEAN_BRIEFLY_US (250 * USEC_PER_MSEC)
#define MACHINE_CLEAN_PATIENTLY_US (10 * USEC_PER_SEC)
/*
 * Ends the processes of machines whose supervisors are dead, and removes their directories, cgroups
 * and names. The timeout is for all of them together. Returns how many were removed, or -errno.
 * Machines that could not be removed in time are listed in *ret_left (may be NULL), which
 * machine_leftovers_done() frees; the next call tries again.
 */
struct machine_leftovers {
	char **names;
	int error; /* of the last one: -EBUSY for processes that don't end */
};

int machine_clean_dead(uint64_t timeout_us, struct machine_leftovers *ret_left);
void machine_leftovers_done(struct machine_leftovers *left);
