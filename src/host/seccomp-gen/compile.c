// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From the maps to one classic BPF program: by architecture, then a balanced tree of comparisons on
 * the number. Native, build time only. A system call costs about seven comparisons; those that are
 * always allowed cost none on 5.11 and later, whose seccomp remembers them in a bitmap.
 */
#include "host/seccomp-gen/gen.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/*
 * The same on every ABI we compile for. Both commands type into a terminal that the payload may
 * share with its host: CVE-2016-2568, CVE-2023-28100.
 */
#define CMD_TIOCSTI 0x5412
#define CMD_TIOCLINUX 0x541C

#define JUMP_MAX 255 /* of a conditional jump; the unconditional one has 32 bits */
#define EXIT_MAX 512

static void fail(const char *what, int limit)
{
	fprintf(stderr, "seccomp: %s %d\n", what, limit);
	exit(1);
}

static void emit(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (p->length == PROGRAM_MAX)
		fail("more instructions than", PROGRAM_MAX);
	p->insns[p->length++] = (struct sock_filter){code, jt, jf, k};
}

static void emit_load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void emit_return(struct program *p, int error)
{
	emit(p, BPF_RET | BPF_K, 0, 0,
	     error ? SECCOMP_RET_ERRNO | (uint32_t)error : SECCOMP_RET_ALLOW);
}

/* The error becomes "allow" once the gate is open; -1: none opens it. */
static void emit_gated_return(struct program *p, int error, int gate)
{
	if (gate >= 0) {
		if (p->patch_count == PATCH_MAX)
			fail("more gated verdicts than", PATCH_MAX);
		p->patches[p->patch_count].index = (uint16_t)p->length;
		p->patches[p->patch_count++].gate = gate;
	}
	emit_return(p, error);
}

/*
 * The kernel takes 32 bits of these arguments and ignores the others; comparing all 64 would let
 * cmd | 1 << 32 through (CVE-2019-10063).
 */
static void emit_load_argument(struct program *p, size_t argument, bool big_endian)
{
	emit_load(p, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) +
			     (big_endian ? sizeof(uint32_t) : 0));
}

static void emit_ioctl(struct program *p, bool big_endian)
{
	emit_load_argument(p, 1, big_endian);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, CMD_TIOCSTI);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, CMD_TIOCLINUX);
	emit_return(p, 0);
	emit_return(p, EPERM);
}

/*
 * The kernel refuses audit messages from a namespace with an error that PAM and systemd take for
 * a failure. "No such protocol" makes them run without audit, as in a kernel built without it.
 */
static void emit_socket(struct program *p, int gate, bool big_endian)
{
	emit_load_argument(p, 0, big_endian);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 5, 0, AF_VSOCK);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, AF_NETLINK);
	emit_load_argument(p, 2, big_endian);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NETLINK_AUDIT);
	emit_return(p, 0);
	emit_return(p, EAFNOSUPPORT);
	emit_gated_return(p, EAFNOSUPPORT, gate);
}

/* The first argument is the call, the second leads to memory that may change meanwhile. */
static void emit_socketcall(struct program *p, int gate, bool big_endian)
{
	emit_load_argument(p, 0, big_endian);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_SOCKET);
	emit_return(p, 0);
	emit_gated_return(p, EAFNOSUPPORT, gate);
}

static void emit_verdict(struct program *p, const struct verdict *v, bool big_endian)
{
	if (v->kind == VERDICT_IOCTL) {
		emit_ioctl(p, big_endian);
		return;
	}
	if (v->kind == VERDICT_SOCKET) {
		emit_socket(p, v->gate, big_endian);
		return;
	}
	if (v->kind == VERDICT_SOCKETCALL) {
		emit_socketcall(p, v->gate, big_endian);
		return;
	}
	emit_gated_return(p, v->errno_closed, v->gate);
}

/*
 * "If A `op` k, run what follows, else go on behind it", for a part of any size: a conditional jump
 * reaches 255 instructions. skip_close() belongs behind the part, with what this returned.
 */
static size_t skip_open(struct program *p, uint16_t op, uint32_t k)
{
	emit(p, BPF_JMP | op | BPF_K, 1, 0, k);
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	return p->length;
}

static void skip_close(struct program *p, size_t opened)
{
	p->insns[opened - 1].k = (uint32_t)(p->length - opened);
}

/*
 * Comparisons first, then each verdict once: every instruction costs a start of a machine about
 * 0.2 µs in the kernel's compiler, and a "return" of its own for each range would double them.
 */
struct tree {
	struct program *program;
	const struct map_row *rows;
	struct {
		uint8_t *jump; /* of an instruction, to be filled in */
		size_t from;
		size_t row;
	} exits[EXIT_MAX];
	size_t exit_count;
};

static uint8_t jump_distance(size_t from, size_t to)
{
	if (to - from - 1 > JUMP_MAX)
		fail("a jump is longer than", JUMP_MAX);
	return (uint8_t)(to - from - 1);
}

static uint32_t row_weight(const struct map_row *row)
{
	/* The last row has no end. */
	return row[1].first > row[0].first ? row[1].first - row[0].first : 1;
}

/* Where both halves hold as many numbers: a newly installed filter is run for each number. */
static size_t find_middle(const struct map_row *rows, size_t n)
{
	uint32_t total = 0, left = 0;
	size_t middle = 1;

	for (size_t i = 0; i < n; i++)
		total += row_weight(&rows[i]);
	for (left = row_weight(&rows[0]); middle < n - 1; middle++) {
		if (left + row_weight(&rows[middle]) / 2 >= total / 2)
			break;
		left += row_weight(&rows[middle]);
	}
	return middle;
}

static void emit_tree(struct tree *t, size_t first, size_t n);

/* One side of the comparison at `from`: more comparisons, or a verdict to be emitted later. */
static void emit_branch(struct tree *t, size_t from, bool taken, size_t first, size_t n)
{
	struct sock_filter *insn = &t->program->insns[from];
	uint8_t *jump = taken ? &insn->jt : &insn->jf;

	if (n > 1) {
		*jump = jump_distance(from, t->program->length);
		emit_tree(t, first, n);
		return;
	}
	if (t->exit_count == EXIT_MAX)
		fail("more ranges than", EXIT_MAX);
	t->exits[t->exit_count].jump = jump;
	t->exits[t->exit_count].from = from;
	t->exits[t->exit_count++].row = first;
}

static void emit_tree(struct tree *t, size_t first, size_t n)
{
	size_t middle = find_middle(t->rows + first, n), from = t->program->length;

	emit(t->program, BPF_JMP | BPF_JGE | BPF_K, 0, 0, t->rows[first + middle].first);
	emit_branch(t, from, true, first + middle, n - middle);
	emit_branch(t, from, false, first, middle);
}

static void emit_exits(struct tree *t, bool big_endian)
{
	for (size_t i = 0; i < t->exit_count; i++) {
		const struct verdict *v = &t->rows[t->exits[i].row].verdict;
		size_t to = t->program->length;

		if (!t->exits[i].jump)
			continue;
		emit_verdict(t->program, v, big_endian);
		for (size_t j = i; j < t->exit_count; j++) {
			if (!t->exits[j].jump ||
			    !map_verdict_equal(&t->rows[t->exits[j].row].verdict, v))
				continue;
			*t->exits[j].jump = jump_distance(t->exits[j].from, to);
			t->exits[j].jump = NULL;
		}
	}
}

static void emit_abi(struct program *p, const struct map *map, bool big_endian)
{
	struct tree tree = {.program = p, .rows = map->rows};

	if (map->count < 2)
		fail("fewer ranges than", 2);
	emit_tree(&tree, 0, map->count);
	emit_exits(&tree, big_endian);
}

/* `numbered`: x32 or NULL, which tells itself apart by its numbers only. */
static void emit_arch(struct program *p, const struct abi *abi, const struct map *map,
		      const struct abi *numbered, bool big_endian)
{
	size_t opened = skip_open(p, BPF_JEQ, abi->audit_arch);

	emit_load(p, offsetof(struct seccomp_data, nr));
	if (numbered && numbered->audit_arch == abi->audit_arch) {
		p->tail_jump = skip_open(p, BPF_JGE, numbered->number_base);
		emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
		skip_close(p, p->tail_jump);
	}
	emit_abi(p, map, big_endian);
	skip_close(p, opened);
}

void compile_program(struct program *p, const struct abi *abis, const struct map *maps, size_t n,
		     bool big_endian)
{
	const struct abi *tail = abis[n - 1].number_base ? &abis[n - 1] : NULL;

	*p = (struct program){};
	emit_load(p, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < (tail ? n - 1 : n); i++)
		emit_arch(p, &abis[i], &maps[i], tail, big_endian);
	emit_return(p, ENOSYS);
	p->head_length = p->length;
	if (tail) {
		p->insns[p->tail_jump].k = (uint32_t)(p->length - p->tail_jump - 1);
		emit_abi(p, &maps[n - 1], big_endian);
	}
}
