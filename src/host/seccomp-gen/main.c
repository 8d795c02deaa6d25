// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The build-time generator: prints the seccomp filter of one CPU family as a C header, or the
 * policy behind it as a table (for the documentation, and for the test that asks the kernel each
 * number). Runs on the build machine only; redd itself never links libseccomp.
 *
 *     seccomp_gen --header|--table CPU_FAMILY big|little
 */
#include "host/seccomp-gen/gen.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ABIS_MAX 3
#define X32_BIT 0x40000000

struct cpu_family {
	const char *name; /* as meson spells it */
	struct abi abis[ABIS_MAX];
};

static const struct cpu_family cpu_families[] = {
	{"x86_64",
	 {{"x86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, true},
	  {"i386", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, true},
	  {"x32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, X32_BIT, true}}},
	{"aarch64",
	 {{"aarch64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0, true},
	  {"arm", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0, true}}},
	{"x86", {{"i386", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, false}}},
	{"arm", {{"arm", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0, true}}},
	{"riscv64", {{"riscv64", SCMP_ARCH_RISCV64, AUDIT_ARCH_RISCV64, 0, true}}},
	{"s390x",
	 {{"s390x", SCMP_ARCH_S390X, AUDIT_ARCH_S390X, 0, false},
	  {"s390", SCMP_ARCH_S390, AUDIT_ARCH_S390, 0, false}}},
	{"ppc64", {{"ppc64le", SCMP_ARCH_PPC64LE, AUDIT_ARCH_PPC64LE, 0, true}}},
};

static const struct cpu_family *find_family(const char *name)
{
	for (size_t i = 0; i < sizeof(cpu_families) / sizeof(cpu_families[0]); i++)
		if (strcmp(cpu_families[i].name, name) == 0)
			return &cpu_families[i];
	return NULL;
}

static size_t count_abis(const struct abi *abis)
{
	size_t n = 0;

	while (n < ABIS_MAX && abis[n].name)
		n++;
	return n;
}

static void print_insns(const struct program *p)
{
	puts("static const struct sock_filter seccomp_base[] = {");
	for (size_t i = 0; i < p->length; i++)
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", p->insns[i].code, p->insns[i].jt,
		       p->insns[i].jf, p->insns[i].k);
	puts("};\n");
}

static void print_gates(const struct program *p)
{
	puts("static const struct seccomp_gate seccomp_gates[] = {");
	for (size_t i = 0; i < policy_gate_count; i++)
		printf("\t{%s},\n", policy_gates[i].condition);
	puts("};\n\nstatic const struct seccomp_patch seccomp_patches[] = {");
	for (size_t i = 0; i < p->patch_count; i++)
		printf("\t{%u, %d},\n", p->patches[i].index, p->patches[i].gate);
	puts("};");
}

static bool all_have_own_socket(const struct abi *abis, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!abis[i].has_own_socket)
			return false;
	return true;
}

static int print_header(const struct abi *abis, size_t n, bool big_endian)
{
	static struct program program;
	static struct map maps[ABIS_MAX];

	for (size_t i = 0; i < n; i++)
		map_build(&abis[i], &maps[i]);
	compile_program(&program, abis, maps, n, big_endian);

	puts("/* Generated from src/host/seccomp-gen/policy.c when redd is built. */\n#pragma "
	     "once\n");
	printf("#define SECCOMP_LEAVES_SOCKETCALL %d", !all_have_own_socket(abis, n));
	printf("\n#define SECCOMP_HEAD_LENGTH %zu\n#define SECCOMP_TAIL_JUMP %zu\n\n",
	       program.head_length, program.tail_jump);
	print_insns(&program);
	print_gates(&program);
	return 0;
}

static void print_row(const struct abi *abi, uint32_t number)
{
	struct verdict v = map_verdict(abi, number);
	int errno_open = v.gate >= 0 ? 0 : v.errno_closed;
	char *name = map_syscall_name(abi, number);

	printf("%s %u %s %d %d %s\n", abi->name, number, name ? name : "-", v.errno_closed,
	       errno_open, v.gate >= 0 ? policy_gates[v.gate].name : "-");
	free(name);
}

/* ABI, number, name or -, errno with every gate closed (0: allowed), with every gate open, gate. */
static int print_table(const struct abi *abis, size_t n)
{
	const uint32_t end = 600;

	for (size_t i = 0; i < n; i++)
		for (uint32_t number = 0; number <= end; number++)
			print_row(&abis[i], number + abis[i].number_base);
	return 0;
}

int main(int argc, char **argv)
{
	const struct cpu_family *family = argc == 4 ? find_family(argv[2]) : NULL;
	size_t n;

	if (!family) {
		fprintf(stderr, "usage: seccomp_gen --header|--table CPU_FAMILY big|little\n"
				"no policy for this CPU family? add a row to cpu_families\n");
		return 2;
	}
	if (!map_check_policy())
		return 1;
	n = count_abis(family->abis);
	if (strcmp(argv[1], "--table") == 0)
		return print_table(family->abis, n);
	return print_header(family->abis, n, strcmp(argv[3], "big") == 0);
}
