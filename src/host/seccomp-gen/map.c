// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From names to numbers, per ABI. Native, build time only. libseccomp is used for its tables of
 * names and numbers, no more: what it compiles is one comparison per system call, while neighbours
 * of one verdict need only one comparison together.
 */
#include "host/seccomp-gen/gen.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_END 1024 /* above every number of a syscall table, below ARM's private ones */

static bool name_in(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static bool new_syscall_is_of(const struct policy_new_syscall *s, const struct abi *abi)
{
	return !s->only_abi || strcmp(s->only_abi, abi->name) == 0;
}

/* Also true for names of one ABI only, for which libseccomp has a negative pseudo number. */
static bool name_is_known(const char *name)
{
	for (size_t i = 0; i < policy_new_syscall_count; i++)
		if (strcmp(policy_new_syscalls[i].name, name) == 0)
			return true;
	return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

char *map_syscall_name(const struct abi *abi, uint32_t number)
{
	for (size_t i = 0; i < policy_new_syscall_count; i++)
		if ((uint32_t)policy_new_syscalls[i].number + abi->number_base == number &&
		    new_syscall_is_of(&policy_new_syscalls[i], abi))
			return strdup(policy_new_syscalls[i].name);
	return seccomp_syscall_resolve_num_arch(abi->scmp_arch, (int)number);
}

static struct verdict verdict_of_name(const struct abi *abi, const char *name)
{
	struct verdict allow = {VERDICT_RETURN, 0, -1};

	if (strcmp(name, "ioctl") == 0)
		return (struct verdict){VERDICT_IOCTL, 0, -1};
	if (strcmp(name, "socket") == 0)
		return (struct verdict){VERDICT_SOCKET, 0, policy_gate_vsock};
	if (strcmp(name, "socketcall") == 0 && abi->has_own_socket)
		return (struct verdict){VERDICT_SOCKETCALL, 0, policy_gate_vsock};
	if (name_in(name, policy_allowed))
		return allow;
	if (name_in(name, policy_absent))
		return (struct verdict){VERDICT_RETURN, ENOSYS, -1};
	for (size_t i = 0; i < policy_gate_count; i++)
		if (name_in(name, policy_gates[i].syscalls))
			return (struct verdict){VERDICT_RETURN, policy_gates[i].errno_closed,
						(int)i};
	return (struct verdict){VERDICT_RETURN, EPERM, -1};
}

struct verdict map_verdict(const struct abi *abi, uint32_t number)
{
	struct verdict verdict = {VERDICT_RETURN, ENOSYS, -1};
	char *name = map_syscall_name(abi, number);

	if (name)
		verdict = verdict_of_name(abi, name);
	free(name);
	return verdict;
}

static bool check_names(const char *const *names)
{
	for (; *names; names++)
		if (!name_is_known(*names)) {
			fprintf(stderr, "seccomp policy: no ABI has a system call \"%s\"\n",
				*names);
			return false;
		}
	return true;
}

bool map_check_policy(void)
{
	for (size_t i = 0; i < policy_gate_count; i++)
		if (!check_names(policy_gates[i].syscalls))
			return false;
	return check_names(policy_allowed) && check_names(policy_absent);
}

bool map_verdict_equal(const struct verdict *a, const struct verdict *b)
{
	return a->kind == b->kind && a->errno_closed == b->errno_closed && a->gate == b->gate;
}

static void map_add(struct map *map, uint32_t first, struct verdict verdict)
{
	if (map->count > 0 && map_verdict_equal(&map->rows[map->count - 1].verdict, &verdict))
		return;
	if (map->count == MAP_MAX) {
		fprintf(stderr, "seccomp policy: more than %d ranges\n", MAP_MAX);
		exit(1);
	}
	map->rows[map->count++] = (struct map_row){first, verdict};
}

/* 32-bit ARM keeps a handful of calls (set_tls, cacheflush) far above the table. */
static void map_add_arm_private(const struct abi *abi, struct map *map)
{
	const uint32_t first = 0xf0000, end = 0xf0010;

	if (abi->scmp_arch != SCMP_ARCH_ARM)
		return;
	for (uint32_t number = first; number <= end; number++)
		map_add(map, number, map_verdict(abi, number));
}

void map_build(const struct abi *abi, struct map *map)
{
	map->count = 0;
	for (uint32_t n = 0; n <= NUMBER_END; n++)
		map_add(map, n + abi->number_base, map_verdict(abi, n + abi->number_base));
	map_add_arm_private(abi, map);
}
