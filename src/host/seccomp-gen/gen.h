/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the parts of the build-time generator: policy -> map of numbers -> instructions. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/seccomp-gen/policy.h"

#define MAP_MAX 2048	 /* rows of one ABI: about 470 calls, twice that where gaps are many */
#define PROGRAM_MAX 4096 /* instructions; the kernel's own limit (BPF_MAXINSNS) */
#define PATCH_MAX 64

struct abi {
	const char *name;
	uint32_t scmp_arch;   /* libseccomp's token */
	uint32_t audit_arch;  /* seccomp_data.arch */
	uint32_t number_base; /* 0x40000000 for x32 */
	/*
	 * Programs can do without socketcall here, whose arguments no filter can read: so it makes
	 * no sockets. The C library of s390 and native i386 knows no other way.
	 */
	bool has_own_socket;
};

/* An ABI's verdicts, by number: each row holds from `first` up to the next row's `first`. */
struct map_row {
	uint32_t first;
	struct verdict verdict;
};

struct map {
	struct map_row rows[MAP_MAX + 1]; /* an empty row at the end */
	size_t count;
};

struct program {
	struct sock_filter insns[PROGRAM_MAX];
	size_t length;
	/*
	 * x32 comes last, so that a kernel without it (nearly all) need not compile it: the program
	 * ends at head_length, with a "return ENOSYS" that the jump at tail_jump is then pointed
	 * to.
	 */
	size_t head_length;
	size_t tail_jump; /* 0: there is no tail */
	/* Instructions whose value becomes SECCOMP_RET_ALLOW when the gate is open. */
	struct {
		uint16_t index;
		int gate;
	} patches[PATCH_MAX];
	size_t patch_count;
};

/* The name of a system call of this ABI, or NULL; a new string. */
char *map_syscall_name(const struct abi *abi, uint32_t number);
/* The verdict for one number; unknown numbers are ENOSYS. */
struct verdict map_verdict(const struct abi *abi, uint32_t number);
bool map_verdict_equal(const struct verdict *a, const struct verdict *b);
/* False and a line on stderr when a table holds a name that no ABI knows. */
bool map_check_policy(void);
void map_build(const struct abi *abi, struct map *map);

/* `maps[i]` belongs to `abis[i]`. An ABI with a number_base is the last. */
void compile_program(struct program *p, const struct abi *abis, const struct map *maps, size_t n,
		     bool big_endian);
